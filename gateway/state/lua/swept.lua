-- A picture is deleted: forget it.
-- KEYS  1 when pictures are looked at · 2 the picture
-- ARGV  1 now · 2 its name · 3 operation id of the step that marked it
-- Gives {'ok', now} or {'other', now} (the mark is not that step's any more).
-- Operation id: the marking step's. A repeat finds it forgotten.
local index, picture = KEYS[1], KEYS[2]

local now, mark = clock(ARGV[1]), redis.call('HGET', picture, 'going')
if mark and string.match(mark, ' (.*)$') ~= ARGV[3] then return {'other', now} end
if not mark and redis.call('EXISTS', picture) == 1 then return {'other', now} end
redis.call('DEL', picture)
redis.call('ZREM', index, ARGV[2])
return {'ok', now}
