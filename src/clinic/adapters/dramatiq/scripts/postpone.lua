-- KEYS scheduled · ARGV wait_ms, id
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[2])
