-- Claim an idempotency key, or a fingerprint, for a request that is about to become an edit.
-- KEYS  1 the key
-- ARGV  1 now · 2 token · 3 fingerprint · 4 ms that the claim lives · 5 '1': join what is there · 6 prefix of an edit's key
-- Gives {'new', now}, {'other', now}, {'creating', now, ms left} or {'joined', now, edit id, its status ('': gone)}.
-- Operation id: the token. A repeat gives the first answer.
local key, now = KEYS[1], clock(ARGV[1])

-- Who joins an edit is told of it: from here on its acceptance is not taken back.
local function join(id)
  local edit = ARGV[6] .. id
  local status = redis.call('HGET', edit, 'status')
  if status == 'queued' or status == 'running' then redis.call('HSETNX', edit, 'joined', '1') end
  return {'joined', now, id, status or ''}
end

local met = redis.call('HMGET', key, 'token', 'fingerprint', 'edit', 'ends')
local lives = met[1] and (met[4] == '' or tonumber(met[4]) > now)
if lives and ARGV[5] == '1' and met[1] ~= ARGV[2] then
  if met[2] ~= ARGV[3] then return {'other', now} end
  if met[3] then return join(met[3]) end
  return {'creating', now, tonumber(met[4]) - now}
end
if lives and met[3] and met[1] == ARGV[2] then
  return {'joined', now, met[3], redis.call('HGET', ARGV[6] .. met[3], 'status') or ''}
end
if lives and met[1] == ARGV[2] then return {'new', now} end

redis.call('DEL', key)
redis.call('HSET', key, 'token', ARGV[2], 'fingerprint', ARGV[3], 'ends', text(now + ARGV[4]))
redis.call('PEXPIRE', key, ARGV[4] + LATER)
return {'new', now}
