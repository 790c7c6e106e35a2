-- Accept an edit and hold its money; where an attempt is given and its permit is free, open it in the same step.
-- KEYS  1 the edit · 2 its owner's open edits · 3 replicas · 4 the permits of the attempt's account · 5 ledger
--       · 6 the API key's open edits · 7 8 9 budgets of key, team, gateway (a window is put behind each)
--       · 10 that this acceptance was taken back · 11 the team's edits · 12 its events · 13 contents to look at
-- ARGV  1 now · 2 edit id · 3 owner · 4 epoch · 5 document · 6 attempt document ('': none) · 7 '1': it posts
--       · 8 most permits ('': no limit) · 9 hold · 10 the attempt's price · 11 most the edit may cost ('': any)
--       · 12 nine caps · 13 most open edits of the API key ('': any) · 14 claim's key ('': none) · 15 token
--       · 16 fingerprint · 17 ms that the claim then lives ('': a day beyond the end, and the token must still be there)
--       · 18 refusal's key ('': none) · 19 20 rows of edit and attempt · 21 22 their events · 23 ms until that
-- Gives {'ok', now, 1 if the attempt is open}, {'lost_claim', now}, {'refused_before', now, until},
--       {'too_many', now}, {'over_budget', now, account ('': the edit itself), cap, left}, {'fenced', …}, {'illegal', …}
-- Operation id: the edit's id with its document. A repeat gives the first answer.
local edit, id, document, attempt, hold = KEYS[1], ARGV[2], ARGV[5], ARGV[6], tonumber(ARGV[9])
local claim, life, refusal = ARGV[14], ARGV[17], ARGV[18]

local met = redis.call('HMGET', edit, 'document', 'created', 'opened_at_accept')
if met[1] then
  if met[1] ~= document then return illegal('this id already names another edit') end
  return fence(edit, ARGV[3], ARGV[4]) or {'ok', tonumber(met[2]), tonumber(met[3])}
end

-- A repeat may arrive after its caller gave up and took the acceptance back.
if redis.call('EXISTS', KEYS[10]) == 1 then return illegal('its acceptance was taken back') end

local now = clock(ARGV[1])
if claim ~= '' and life == '' then
  local carried = redis.call('HMGET', claim, 'token', 'edit')
  if carried[1] ~= ARGV[15] or carried[2] then return {'lost_claim', now} end
end
local until_ = refusal ~= '' and tonumber(redis.call('GET', refusal) or 0) or 0
if until_ > now then return {'refused_before', now, until_} end
if ARGV[13] ~= '' and redis.call('SCARD', KEYS[6]) >= tonumber(ARGV[13]) then return {'too_many', now} end
local purse = {edit = edit, accounts = accounts_at({KEYS[7], KEYS[8], KEYS[9]}, now), held = hold, kept = 0, spent = 0,
  held_before = 0, spent_before = 0}
local over = over_its_cost(purse, ARGV[11], hold, now) or over_budget(purse.accounts, ARGV[12], hold, now)
if over then return over end

local opened = attempt ~= '' and has_permit(KEYS[4], ARGV[8], member(id, 1))
redis.call('HSET', edit, 'document', document, 'status', 'queued', 'owner', ARGV[3], 'epoch', ARGV[4],
  'created', text(now), 'attempts', 0, 'opened_at_accept', opened and 1 or 0,
  'accounts', table.concat(purse.accounts, '\n'), 'list', KEYS[11], 'events', KEYS[12])
redis.call('ZADD', KEYS[2], text(now), id)
redis.call('SADD', KEYS[6], id)
redis.call('ZADD', KEYS[11], 0, id)
redis.call('ZADD', KEYS[13], text(now + tonumber(ARGV[23])), id)
watch(KEYS[3], ARGV[3], now)
write_purse(purse)
book(KEYS[5], ARGV[19], now, purse)
tell(edit, ARGV[21])
if claim ~= '' then keep_claim(edit, id, claim, ARGV[15], ARGV[16], life, now) end
if refusal ~= '' then redis.call('HSET', edit, 'refusal', refusal) end
if opened then
  write_open(edit, KEYS[4], ARGV[8], id, 1, attempt, ARGV[10], ARGV[7], now)
  book(KEYS[5], ARGV[20], now, purse)
  tell(edit, ARGV[22])
end
return {'ok', now, opened and 1 or 0}
