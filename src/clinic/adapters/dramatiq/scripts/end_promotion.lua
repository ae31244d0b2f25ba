-- Removes jobs that were enqueued, except those that got a new time meanwhile.
--
-- KEYS scheduled, promoting · ARGV the id and the score of each job
for i = 1, #ARGV, 2 do
  redis.call('ZREM', KEYS[2], ARGV[i])
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
return 1
