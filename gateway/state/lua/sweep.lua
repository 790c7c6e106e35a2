-- Find pictures to which nobody refers any more, and mark them: their caller deletes them, and says so by `swept`.
-- KEYS  1 when pictures are looked at
-- ARGV  1 now · 2 operation id · 3 most to look at · 4 ms that a mark holds · 5 prefix of a picture's key
--       · 6 prefix of an edit's key (both carry the hash tag: same slot)
-- Gives {'ok', now, how many were looked at, {name, bytes, …}}.
-- Operation id: given by the caller. A repeat marks others: what the first one marked is found again when its marks are
-- over, since without a `swept` nothing leaves the index.
local index = KEYS[1]

local now, holds, found = clock(ARGV[1]), tonumber(ARGV[4]), {}
local due = redis.call('ZRANGEBYSCORE', index, '-inf', text(now), 'LIMIT', 0, tonumber(ARGV[3]))
for _, name in ipairs(due) do
  local picture = ARGV[5] .. name
  local latest = look_at(picture, name, ARGV[6], now)
  if latest > 0 then
    redis.call('ZADD', index, text(latest), name)
  else
    condemn(index, picture, name, ARGV[2], holds, now)
    found[#found + 1] = name
    found[#found + 1] = tonumber(redis.call('HGET', picture, 'bytes') or 0)
  end
end
return {'ok', now, #due, found}
