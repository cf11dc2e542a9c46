-- Operator requests of 500 salons in turn, all new; bench.operator replaces the two words in capitals.
local n = 0
request = function()
  n = n + 1
  local targets = {}
  for place = 1, MESSAGES do
    targets[place] = string.format('{"id":"%d-%d","phone":"7999%07d"}', n, place, (n * 31 + place) % 10000000)
  end
  local body = '{"destination_params":[' .. table.concat(targets, ",") .. '],"text":"Visit tomorrow at 12:00",'
    .. '"channel":"whatsapp","dispatch_type":"service","delivery_callback_url":"CALLBACK"}'
  local headers = {["Content-Type"]="application/json", ["Authorization"]="Bearer bench-key-" .. (n % 500)}
  return wrk.format("POST", "/yclients/messages/", headers, body)
end
