-- Put after telling.lua before every step: who refers to a picture, and until when.
-- A picture's hash: `from:<who>` is 'until' (ms), or of an edit 'until after': until it is accepted the time given, from
-- then on for as long as it goes on and `after` ms more · `bytes` · `going` '<ms> <operation>': a sweep deletes it.
local AGAIN = 3600000

-- Until when one reference holds, as things stand. An edit that goes on is looked at again later; a picture that an edit
-- made without delivering it is nobody's once that edit has ended.
local function holds_until(name, prefix, who, value, now)
  local given, after = string.match(value, '^(%d+) ?(%d*)$')
  if after == '' then return tonumber(given) end
  local met = redis.call('HMGET', prefix .. who, 'status', 'finished', 'erase')
  if met[3] then return 0 end
  if not met[1] then return tonumber(given) end
  if met[1] == 'queued' or met[1] == 'running' or met[1] == 'unresolved' then return now + AGAIN end
  if met[1] ~= 'succeeded' and string.find(name, '/results/', 1, true) then return 0 end
  return tonumber(met[2]) + tonumber(after)
end

-- The latest of a picture's references, 0 where none is left; those that are over are taken out.
local function look_at(picture, name, prefix, now)
  local latest, fields = 0, redis.call('HGETALL', picture)
  for i = 1, #fields, 2 do
    local who = string.match(fields[i], '^from:(.+)$')
    if who then
      local ends = holds_until(name, prefix, who, fields[i + 1], now)
      if ends <= now then redis.call('HDEL', picture, fields[i]) end
      if ends > now and ends > latest then latest = ends end
    end
  end
  return latest
end

-- Whether a sweep may be about to delete it. A mark that is older than `holds` ms is a dead sweep's: nothing is deleted
-- under it any more.
local function is_going(picture, holds, now)
  local going = redis.call('HGET', picture, 'going')
  return going and now - tonumber(string.match(going, '^%d+')) < holds
end

local function condemn(index, picture, name, operation, holds, now)
  redis.call('HSET', picture, 'going', text(now) .. ' ' .. operation)
  redis.call('ZADD', index, text(now + holds), name)
end
