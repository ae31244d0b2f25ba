-- Keeps a message that cannot be read and frees its place, only once even if it was fetched twice.
--
-- KEYS acks, bodies, poison · ARGV data
for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if redis.call('HGET', KEYS[2], id) == ARGV[1] then
    redis.call('SREM', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
    redis.call('LPUSH', KEYS[3], ARGV[1])
  end
end
redis.call('LTRIM', KEYS[3], 0, 999)
return 1
