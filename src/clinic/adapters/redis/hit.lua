-- Keeps a list of the times of allowed requests: exact, where token buckets and GCRA let up to
-- twice the quota through in one window. Only the store's clock counts, so servers' clocks may
-- differ.
--
-- KEYS the list · ARGV quota, window in milliseconds, how many times to count
-- Returns allowed, remaining, milliseconds until the quota frees a request, or until this one would
-- be allowed.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local quota, window, times = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local first = tonumber(redis.call('LINDEX', KEYS[1], 0) or nil)
while first and first <= now - window do
  redis.call('LPOP', KEYS[1])
  first = tonumber(redis.call('LINDEX', KEYS[1], 0) or nil)
end
local count = redis.call('LLEN', KEYS[1])
local allowed = 0
if count + times <= quota then
  for _ = 1, times do
    redis.call('RPUSH', KEYS[1], now)
  end
  redis.call('PEXPIRE', KEYS[1], window)
  count = count + times
  allowed = 1
elseif times > 1 and count > 0 then
  local before = math.min(count + times - quota, count) - 1
  first = tonumber(redis.call('LINDEX', KEYS[1], before))
end
return {allowed, quota - count, (first or now) + window - now}
