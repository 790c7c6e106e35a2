-- Take back a reference to a picture. One to which nobody refers any more is marked, and its caller deletes it.
-- KEYS  1 when pictures are looked at · 2 the picture
-- ARGV  1 now · 2 its name · 3 who · 4 operation id · 5 ms that a mark holds · 6 prefix of an edit's key (it carries
--       the hash tag: same slot)
-- Gives {'ok', now, its bytes} (delete it), {'going', now} (somebody else does) or {'shared', now}.
-- Operation id: given by the caller. A repeat gives the first answer.
local index, picture, name = KEYS[1], KEYS[2], ARGV[2]

local now, holds = clock(ARGV[1]), tonumber(ARGV[5])
local mark = redis.call('HMGET', picture, 'going', 'bytes')
local bytes = tonumber(mark[2] or 0)
if mark[1] and string.match(mark[1], ' (.*)$') == ARGV[4] then return {'ok', now, bytes} end
redis.call('HDEL', picture, 'from:' .. ARGV[3])
if is_going(picture, holds, now) then return {'going', now} end
local latest = look_at(picture, name, ARGV[6], now)
if latest > 0 then
  redis.call('ZADD', index, text(latest), name)
  return {'shared', now}
end
condemn(index, picture, name, ARGV[4], holds, now)
return {'ok', now, bytes}
