-- When nothing is ready, an old message is one that takes very long or that a worker lost; running
-- it twice does no harm. Anything that is not a job is set aside.
--
-- KEYS ready, bodies, poison · ARGV age_ms
-- Returns the time, how many were set aside, then the id of each old job.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = {now, 0}
if redis.call('LLEN', KEYS[1]) > 0 then return found end
local bodies = redis.call('HGETALL', KEYS[2])
for i = 1, #bodies, 2 do
  local id, body = bodies[i], bodies[i + 1]
  local is_json, message = pcall(cjson.decode, body)
  local made = is_json and type(message) == 'table' and tonumber(message.message_timestamp) or 0
  if math.abs(now - made) <= tonumber(ARGV[1]) then
    -- It has just begun.
  elseif not string.match(id, '^[%w_-]+$') or #id ~= 43 then
    redis.call('HDEL', KEYS[2], id)
    redis.call('LPUSH', KEYS[3], body)
    redis.call('LTRIM', KEYS[3], 0, 999)
    found[2] = found[2] + 1
  else
    table.insert(found, id)
  end
end
return found
