// Checks an evidence file of Sanji with nothing but Node 18 or later: node check.mjs FILE [ANCHOR]
// Written after docs/reference/protocol.md (2, 3, 4, 9.1), not after the Python code.
import { createHash, createPublicKey, verify } from 'node:crypto';
import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
const LANES = ['trust', 'urgent', 'ordinary', 'custody'], LEVELS = ['district', 'town', 'village'];
const KIND = /^[a-z]+(\.[a-z_]+)+\.v[1-9][0-9]{0,3}$/, OPENED = 'epoch.opened.v1', ROOT = '0'.repeat(16);
const ORDER_8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n; // such a y
const fail = (why) => { throw new Error(why); };
const need = (holds, why) => holds || fail(why);
const hex = (bytes) => bytes.toString('hex'), unhex = (digits) => Buffer.from(digits, 'hex');
const ascii = (text) => Buffer.from(text, 'latin1');
const isList = (value, most) => Array.isArray(value) && value.length <= most;
const utf8 = (bytes) => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
const sha256 = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest();
const isBytes = (value, size) => Buffer.isBuffer(value) && value.length === size;
const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
const isText = (value, form) => typeof value === 'string' && form.test(value);
const isHex = (value, size) => isText(value, /^[0-9a-f]+$/) && value.length === 2 * size;
const isCode = (value) => isText(value, /^[0-9]{2,32}$/);
const isAbove = (higher, lower) => higher !== lower && lower.startsWith(higher);
const isFeed = ([author, epoch, lane, to]) => isCode(author) && isHex(epoch, 8) && LANES.includes(lane)
  && (to === '^' || (isText(to, /^[0-9]{2,32}\*?$/) && isAbove(author, to)));
const mayHold = ([author, , , to], node) => author.startsWith(node) || (isAbove(author, node)
  && to !== '^' && (to.startsWith(node) || (to.endsWith('*') && node.startsWith(to.slice(0, -1)))));
const text = (code) => ascii((code.length < 24 ? '' : '\x78') // a code in CBOR
  + String.fromCharCode(code.length + (code.length < 24) * 0x60) + code);

function decode(data, depthMax) { // deterministic CBOR without tags and floats
  let at = 0;
  const take = (n) => { need(n <= data.length - at, 'cut short'); return data.subarray(at, at += n); };
  const item = (depth) => {
    const lead = take(1)[0], major = lead >> 5, info = lead & 31, more = info - 24;
    if (major === 7 && info > 19 && info < 23) return [false, true, null][info - 20];
    need(major < 6 && more < 4, 'a tag, a float, or no definite length');
    const value = more < 0 ? info : Number(`0x${hex(take(1 << more))}`);
    need(more < 0 || value >= [24, 2 ** 8, 2 ** 16, 2 ** 32][more], 'not the shortest form');
    need(value + (major === 1) <= Number.MAX_SAFE_INTEGER, 'a number out of range');
    if (major < 2) return major ? -1 - value : value;
    if (major < 4) return major === 2 ? take(value) : utf8(take(value));
    need(depth < depthMax && value <= data.length, 'nested too deep, or cut short');
    if (major === 4) return Array.from({ length: value }, () => item(depth + 1));
    const pair = (from) => [item(depth + 1), hex(data.subarray(from, at)), item(depth + 1)];
    const pairs = Array.from({ length: value }, () => pair(at)); // hex sorts as its bytes do
    need(pairs.every(([, key], n) => !n || pairs[n - 1][1] < key), 'a map is out of order');
    return { keys: pairs.map(([key]) => key) }; // of maps nobody looks at more
  };
  return [item(0), at === data.length || fail('bytes left over')][0];
}
function publicKey(digits) {
  const raw = unhex(digits), jwk = { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') };
  const P = 2n ** 255n - 19n, y = BigInt(`0x${hex(Buffer.from(raw).reverse())}`) & (P + 18n);
  need(y < P && ![0n, 1n, P - 1n, ORDER_8, P - ORDER_8].includes(y), 'a key that binds nobody');
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  return { kid: hex(sha256(raw)).slice(0, 16), signed: (data, by) => verify(null, data, key, by) };
}
function readRecord([cose, salt, body, ...more]) {
  const end = cose.length - 66, from = 17 + ({ 0x58: 2, 0x59: 3 }[cose[17]] ?? 1), n = end - from;
  const head = Buffer.from(n < 24 ? [0x40 + n] : n < 256 ? [0x58, n] : [0x59, n >> 8, n & 255]);
  need(n > 0 && n <= 1024 && /^d2844da201270448.{16}a0$/.test(hex(cose.subarray(0, 17)))
    && hex(cose.subarray(17, from)) === hex(head) && !more.length
    && hex(cose.subarray(end, end + 2)) === '5840', 'a header is not in the template');
  const fields = decode(cose.subarray(from, end), 6);
  const [version, author, epoch8, lane, audience, seq, prev, at, kind, size, digest, refs, ext] = fields;
  const epoch = hex(epoch8), feed = [author, epoch, lane, audience], name = feed.join('/');
  need(fields.length === 13 && version === 1 && isFeed(feed) && isCount(seq) && isBytes(prev, 32)
    && isCount(at) && isText(kind, KIND) && kind.length <= 64 && isCount(size) && size <= 65536
    && isBytes(digest, 32) && isList(refs, 8) && refs.every((ref) => isBytes(ref, 32))
    && ext.keys.every(isCount), 'a field of a header is wrong');
  need(body === null ? salt === null : isBytes(salt, 16) && isBytes(body, size)
    && sha256(salt, body).equals(digest), 'a body is not the one that was signed');
  const signed = [ascii('\x84\x6aSignature1'), cose.subarray(2, 16), ascii('\x4fsanji/record/v1'),
    cose.subarray(17, end)], kid = hex(cose.subarray(8, 16));
  return { rid: hex(sha256(cose)), author, epoch, lane, audience, seq, kind, claimed_at_ms: at, body, name,
    prev: hex(prev), kid, isBy: (key) => key.signed(Buffer.concat(signed), cose.subarray(end + 2)) };
}
const readBody = ({ body }) => { // authors write no blanks, no name twice, no number in two ways
  const said = JSON.parse(utf8(body)), isPlain = JSON.stringify(said) === utf8(body);
  return isPlain && said?.constructor === Object ? said : fail('a body is not plain JSON');
};
export function check(data) { // returns what is proven; throws what is wrong
  need(data.length <= 1 << 20, 'too large for an evidence file');
  const [form, bases, headers, salt, body, statements, ...more] = decode(data, 3);
  need(form === 'sanji/evidence/v1' && !more.length && isList(bases, 256) && isList(headers, 256)
    && isList(statements, 32) && bases.length && headers.length, 'no evidence file of version 1');
  const [anchor, ...chain] = bases.map(readRecord), nodes = {}, last = {}, openings = {}, words = new Map();
  const trust = ({ code, level }, epoch) => `${code}/${epoch}/trust/${level < 2 ? `${code}*` : '^'}`;
  const certify = (rid, it, above) => { // takes in a certificate: a division's first or next
    const { division: code, label, signing_key: key } = it, level = LEVELS.indexOf(it.level);
    const old = last[code], asked = old && Buffer.concat([ascii('sanji/replace/v1\x85\x58\x20'),
      unhex(anchor.rid), text(code), unhex(`5820${old.rid}5820${key}5820${it.sealing_key}`)]);
    need(isCode(code) && (it.replaces ?? '') === (old?.rid ?? '') && (!old || !above.above
      || [...words.values()].includes(rid) || old.key.signed(asked, unhex(it.consent))) && level >= 0
      && isText(label, /^.{1,40}$/su) && isHex(key, 32) && isHex(it.sealing_key, 32), 'a bad certificate');
    return nodes[rid] = last[code] = { rid, code, label, level, key: publicKey(key), above };
  };
  const vouch = (run) => { // returns whose certificate stands behind these records
    const [first] = run, { author, epoch, name } = first, opening = openings[author + epoch];
    const opens = !first.seq && first.kind === OPENED && nodes[first.prev];
    const node = need(epoch === ROOT ? first.rid === anchor.rid && nodes[anchor.rid]
      : opening?.node ?? (opens && name === trust(opens, epoch) && opens), 'nothing says whose a feed is');
    const prev = !opening ? first.prev : name === trust(node, epoch) ? node.rid : opening.rid;
    need(run.every((one, n) => one.name === name && one.seq === first.seq + n
      && one.kid === node.key.kid && one.prev === (n ? run[n - 1].rid : one.seq ? one.prev : prev))
      && (first.lane === 'trust' ? run : run.slice(-1)).every((one) => one.isBy(node.key)), 'a chain or signature');
    return node;
  };
  const top = readBody(anchor), root = certify(anchor.rid, top, null);
  need(anchor.kind === 'district.founded.v1' && !anchor.seq && /^0+$/.test(anchor.prev) && !root.level
    && isHex(top.recovery_hash, 32) && anchor.name === trust(root, ROOT) && vouch([anchor]), 'a bad anchor');
  for (const one of chain) {
    const by = vouch([one]), it = readBody(one), place = one.author + one.epoch, { parent, nonce } = it;
    need(one.name === trust(by, one.epoch), 'a certificate in another feed');
    const isOpening = one.kind === OPENED && !one.seq && !openings[place] && it.certificate === by.rid;
    if (isOpening) { openings[place] = { node: by, rid: one.rid }; continue; }
    const isWord = one.kind === 'node.confirmed.v1' && by === root && !words.has(one.rid);
    if (isWord) { words.set(one.rid, it.certificate); continue; }
    const node = certify(one.rid, it, by);
    need(one.kind === 'node.certified.v1' && by.level < 2 && isCode(parent) && isHex(nonce, 16)
      && parent.startsWith(by.code) && isAbove(parent, node.code) && node.level > by.level
      && isHex(it.proof, 64), "a certificate is not its author's to give");
    const asked = Buffer.concat([ascii('sanji/join/v1\x84\x58\x20'), unhex(anchor.rid), text(parent),
      text(node.code), unhex(`50${nonce}`)]);
    need(node.key.signed(asked, unhex(it.proof)), 'nobody asked for a certificate');
  }
  need([...words.values()].every((rid) => nodes[rid]), 'a confirmation of nothing');
  const run = headers.map((one, n) => readRecord(n ? [one, null, null] : [one, salt, body]));
  const by = vouch(run), { name, prev, kid, isBy, ...told } = run[0], certified = [];
  const held = statements.map(readRecord).map((one) => {
    const node = vouch([one]), { use, held: feeds = [], late = [], shown = [] } = readBody(one);
    need(one.kind === 'custody.stated.v1' && one.lane === 'custody' && one.author !== told.author
      && (one.audience === '^' ? use === 'proof' : use === 'receipt' && isCode(one.audience))
      && (node.level < 2 || use === 'proof') && late.every(isCode)
      && shown.every(([rid, ms]) => isHex(rid, 32) && isCount(ms)) && feeds.every((of) => of.length === 8
        && isFeed(of) && of[2] !== 'custody' && isHex(of[5], 32) && mayHold(of, node.code)
        && [of[4], of[6], of[7]].every(isCount)), 'a bad statement');
    const covers = need(feeds.find((of) => of.slice(0, 4).join('/') === name
      && run.some(({ seq, rid }) => seq === of[4] - 1 && rid === of[5])), 'it covers another record');
    return [node.code, node.label, covers[6]];
  });
  for (let at = by; at; at = at.above) certified.push([at.code, at.label, at.rid]);
  return { ...told, anchor: anchor.rid, body: body && body.toString(), certified, held };
}
const [, script, file, expected] = process.argv;
if (script && realpathSync(script) === fileURLToPath(import.meta.url)) {
  process.on('uncaughtException', (e) => { console.error(`not proven: ${e.message}`); process.exit(1); });
  const proof = check(readFileSync(file));
  need(proof.anchor === (expected ?? proof.anchor), `it rests on another anchor, ${proof.anchor}`);
  console.log(JSON.stringify(proof, null, 1));
}
