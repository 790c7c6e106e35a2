-- Restore an empty store from the books: what was spent, edits that still hold money, idempotency keys.
-- KEYS  1 the account of the whole gateway in total · 2 unresolved edits
-- ARGV  1 now · 2 operation id · 3 number of accounts, then of each: name, spent, held
--       · then the number of edits, of each: id, key, its team's list, accounts, accepted at, edit document,
--       end document, status, finished at ('': now), held, kept, spent, claim's key ('': none), number of attempts, of
--       each: its number, document, state, price, cost ('': none), closed at ('': now)
--       · then the number of idempotency keys, of each: name, fingerprint, edit id, ends ('': when its edit does)
-- Gives {'ok', now} or {'illegal', words}.
-- Operation id: given by the caller. A repeat gives the first answer.
local done = redis.call('HGET', KEYS[1], 'restored')
if done == ARGV[2] then return {'ok', clock(ARGV[1])} end
if redis.call('EXISTS', KEYS[1]) == 1 then return illegal('the store is not empty: only an empty one is restored') end

local now, at = clock(ARGV[1]), 2
local function next_word()
  at = at + 1
  return ARGV[at]
end
local function moment(given) return given ~= '' and given or text(now) end
local function each(do_one)
  for _ = 1, tonumber(next_word()) do do_one() end
end

redis.call('HSET', KEYS[1], 'restored', ARGV[2], 'spent', 0, 'held', 0)
each(function()
  local account = next_word()
  redis.call('HSET', account, 'spent', next_word(), 'held', next_word())
end)
each(function()
  local id, edit, list = next_word(), next_word(), next_word()
  redis.call('HSET', edit, 'list', list, 'accounts', next_word(), 'created', next_word(), 'document', next_word(),
    'end', next_word(), 'status', next_word(), 'finished', moment(next_word()), 'held', next_word(),
    'kept', next_word(), 'spent', next_word(), 'claim', next_word(), 'owner', '', 'epoch', 0, 'attempts', 0)
  each(function()
    local number = next_word()
    redis.call('HSET', edit, 'attempts', number, 'attempt:' .. number, next_word(), 'state:' .. number, next_word(),
      'price:' .. number, next_word())
    local cost = next_word()
    if cost ~= '' then redis.call('HSET', edit, 'cost:' .. number, cost) end
    redis.call('HSET', edit, 'closed:' .. number, moment(next_word()))
  end)
  redis.call('ZADD', KEYS[2], text(now), id)
  redis.call('ZADD', list, 0, id)
end)
each(function()
  local key = next_word()
  redis.call('HSET', key, 'token', '', 'fingerprint', next_word(), 'edit', next_word(), 'ends', next_word())
  local ends = redis.call('HGET', key, 'ends')
  if ends ~= '' then redis.call('PEXPIRE', key, math.max(0, ends - now) + LATER) end
end)
return {'ok', now}
