"""What Redis does in one step. Its own clock says what is due, one for all workers."""

#: KEYS scheduled, ready, bodies, poison · ARGV limit, ready_max, head, middle, tail
#: A body is head .. id .. middle .. id .. middle .. id .. tail .. now .. "}".
PROMOTE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local room = math.min(tonumber(ARGV[1]), tonumber(ARGV[2]) - redis.call('LLEN', KEYS[2]))
if room <= 0 then return 0 end
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, room)
local promoted = 0
for _, id in ipairs(ids) do
  if not string.match(id, '^[%w_-]+$') or #id ~= 43 then
    redis.call('LPUSH', KEYS[4], id)
    redis.call('LTRIM', KEYS[4], 0, 999)
    redis.call('ZREM', KEYS[1], id)
  else
    local body = ARGV[3] .. id .. ARGV[4] .. id .. ARGV[5] .. id .. ARGV[6] .. now .. '}'
    if redis.call('HSETNX', KEYS[3], id, body) == 1 then
      redis.call('RPUSH', KEYS[2], id)
      redis.call('ZREM', KEYS[1], id)
      promoted = promoted + 1
    else
      redis.call('ZADD', KEYS[1], now + 1000, id)
    end
  end
end
return promoted
"""

#: KEYS scheduled · ARGV wait_ms, id
POSTPONE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[2])
"""

#: KEYS scheduled, bodies · ARGV ids. What is due here already waits for its turn.
HASTEN = """
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
"""

#: KEYS ready, bodies · ARGV age_ms. With nothing ready, an old body belongs to a job that is being
#: worked on for very long or that somebody lost; to work on it twice does no harm.
RECOVER = """
if redis.call('LLEN', KEYS[1]) > 0 then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local bodies = redis.call('HGETALL', KEYS[2])
local recovered = 0
for i = 1, #bodies, 2 do
  local made = tonumber(string.match(bodies[i + 1], '"message_timestamp":(%d+)'))
  if made == nil then
    made = 0
  end
  if math.abs(now - made) > tonumber(ARGV[1]) then
    if made > 0 then
      local fresh = string.gsub(bodies[i + 1], '"message_timestamp":%d+',
        '"message_timestamp":' .. now)
      redis.call('HSET', KEYS[2], bodies[i], fresh)
    end
    redis.call('RPUSH', KEYS[1], bodies[i])
    recovered = recovered + 1
  end
end
return recovered
"""

#: KEYS acks, bodies, poison · ARGV data. Keeps what cannot be read, and frees its place: once, also
#: when it was fetched twice, since `RECOVER` cannot tell how old it is.
SET_ASIDE = """
for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if redis.call('HGET', KEYS[2], id) == ARGV[1] then
    redis.call('SREM', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
    redis.call('LPUSH', KEYS[3], ARGV[1])
  end
end
redis.call('LTRIM', KEYS[3], 0, 999)
return 1
"""

#: KEYS syncing, synced · ARGV token, run_id
END_RESYNC = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[1])
return 1
"""
