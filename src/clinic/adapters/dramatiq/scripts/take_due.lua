-- Leases due jobs to one promoter. They stay scheduled until `end_promotion`, so that a promoter
-- that dies loses none: once its lease has run out, another one takes them.
--
-- KEYS scheduled, ready, bodies, poison, promoting · ARGV limit, ready_max, lease_ms
-- Returns the time, then the id and the score of each job.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- A lease that ends too far ahead is from before the clock was set back.
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[5], '(' .. now + ARGV[3], '+inf')
local leased = redis.call('ZCARD', KEYS[5])
local room = math.min(tonumber(ARGV[1]), ARGV[2] - redis.call('LLEN', KEYS[2]) - leased)
local taken = {now}
if room <= 0 then return taken end
local due = redis.call(
  'ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES', 'LIMIT', 0, room + leased)
for i = 1, #due, 2 do
  local id, score = due[i], due[i + 1]
  if room == 0 then
    break
  elseif not string.match(id, '^[%w_-]+$') or #id ~= 43 then
    redis.call('LPUSH', KEYS[4], id)
    redis.call('LTRIM', KEYS[4], 0, 999)
    redis.call('ZREM', KEYS[1], id)
  elseif redis.call('ZSCORE', KEYS[5], id) then
    -- Another promoter has it.
  elseif redis.call('HEXISTS', KEYS[3], id) == 1 then
    redis.call('ZADD', KEYS[1], now + 1000, id)
  else
    redis.call('ZADD', KEYS[5], now + ARGV[3], id)
    table.insert(taken, id)
    table.insert(taken, score)
    room = room - 1
  end
end
return taken
