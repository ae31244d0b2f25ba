-- A job that is already due keeps its place.
--
-- KEYS scheduled, bodies · ARGV ids
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local hastened = 0
for _, id in ipairs(ARGV) do
  local due = redis.call('ZSCORE', KEYS[1], id)
  if redis.call('HEXISTS', KEYS[2], id) == 0 and (not due or tonumber(due) > now) then
    redis.call('ZADD', KEYS[1], now, id)
    hastened = hastened + 1
  end
end
return hastened
