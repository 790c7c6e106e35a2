-- Ask for the end of an edit that goes on, whoever owns it: from here on none of its attempts is opened, and it cannot
-- succeed. Its owner is called.
-- KEYS  1 the edit
-- ARGV  1 now · 2 edit id · 3 prefix of a replica's calls (it carries the hash tag: same slot) · 4 ms that a call lives
--       · 5 events
-- Gives {'ok', now, status}, {'ended', now, status} or {'gone', now}. No owner nor epoch: it is the caller's wish.
-- Operation id: the edit's id. Asking twice is asking, and calls its owner again.
local edit, id = KEYS[1], ARGV[2]

local now, met = clock(ARGV[1]), redis.call('HMGET', edit, 'status', 'owner', 'cancel')
if not met[1] then return {'gone', now} end
if met[1] ~= 'queued' and met[1] ~= 'running' then return {'ended', now, met[1]} end
if not met[3] then
  redis.call('HSET', edit, 'cancel', text(now))
  tell(edit, ARGV[5])
end
local calls = ARGV[3] .. met[2]
redis.call('XADD', calls, 'MAXLEN', '~', 1000, '*', 'for', id)
redis.call('PEXPIRE', calls, ARGV[4])
return {'ok', now, met[1]}
