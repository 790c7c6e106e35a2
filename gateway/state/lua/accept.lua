-- Accept an edit; where an attempt is given and its permit is free, open it in the same step.
-- KEYS  1 the edit · 2 its owner's open edits · 3 replicas · 4 the permits of the attempt's account
-- ARGV  1 now · 2 edit id · 3 owner · 4 epoch · 5 document · 6 attempt document ('': none) · 7 '1': it posts
--       · 8 most permits ('': no limit)
-- Gives {'ok', now, 1 if the attempt is open}, {'fenced', owner, epoch} or {'illegal', words}.
-- Operation id: the edit's id with its document. A repeat gives the first answer.
local edit, id, document, attempt = KEYS[1], ARGV[2], ARGV[5], ARGV[6]

local held = redis.call('HMGET', edit, 'document', 'created', 'opened_at_accept')
if held[1] then
  if held[1] ~= document then return illegal('this id already names another edit') end
  return fence(edit, ARGV[3], ARGV[4]) or {'ok', tonumber(held[2]), tonumber(held[3])}
end
-- Idempotency key: `accept` takes effect only while the key still carries the caller's token.
-- Budget: the caps of team, key and gateway are checked here, before the first write.

local now = clock(ARGV[1])
local opened = attempt ~= '' and has_permit(KEYS[4], ARGV[8], member(id, 1))
redis.call('HSET', edit, 'document', document, 'status', 'queued', 'owner', ARGV[3], 'epoch', ARGV[4],
  'created', text(now), 'attempts', 0, 'opened_at_accept', opened and 1 or 0)
redis.call('ZADD', KEYS[2], text(now), id)
watch(KEYS[3], ARGV[3], now)
if opened then write_open(edit, KEYS[4], ARGV[8], id, 1, attempt, ARGV[7], now) end
-- Budget: the hold. Ledger outbox row: key hash, origin, hold.
return {'ok', now, opened and 1 or 0}
