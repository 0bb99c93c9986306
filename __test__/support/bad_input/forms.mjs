// Texts that are nearly right: what a user means by them is refused with a message that says what is wrong, or taken and means
// what it seems to mean. `[value, pattern]` is refused with such a message, `[value]` is taken; a third item is the canonical form.

import { JIT_ROUTE, LSP_NODE_ID, MNEMONIC } from '../options.mjs'

const QUOTES = /quotation mark/
const AROUND = /whitespace/
const HIDDEN = /invisible|can't be seen|outside plain a–z|null/

/** What env files and copying add to a text, and how the error says it. */
export const STRAY = [
  ['a line end', (text) => `${text}\r\n`, AROUND],
  ['a line feed', (text) => `${text}\n`, AROUND],
  ['a carriage return', (text) => `${text}\r`, AROUND],
  ['a space before', (text) => ` ${text}`, AROUND],
  ['a space behind', (text) => `${text} `, AROUND],
  ['a tab behind', (text) => `${text}\t`, AROUND],
  ['a no-break space behind', (text) => `${text}\u00a0`, AROUND],
  ['double quotes', (text) => `"${text}"`, QUOTES],
  ['single quotes', (text) => `'${text}'`, QUOTES],
  ['backticks', (text) => `\`${text}\``, QUOTES],
  ['typographic quotes', (text) => `“${text}”`, QUOTES],
  ['quotes and a line end', (text) => `"${text}"\r\n`, QUOTES],
  ['half a pair of quotes', (text) => `${text}"`, QUOTES],
  ['a byte order mark', (text) => `\ufeff${text}`, HIDDEN],
  ['a zero-width space', (text) => `${text}\u200b`, HIDDEN],
  ['a direction mark', (text) => `${text}\u202e`, HIDDEN],
  ['a null byte', (text) => `${text}\0`, HIDDEN],
  ['a lone surrogate', (text) => `${text}\ud800`, /lone surrogate/],
  ['its own name', (text, name) => `${name}=${text}`, /./],
]

/** Only in a mnemonic whitespace is forgiven: it can't change the words. */
export const FORGIVES = { mnemonic: AROUND }

/** A good value of each text option. */
export const GOOD = {
  network: 'regtest',
  mnemonic: MNEMONIC,
  esploraUrl: 'http://127.0.0.1:3002/api',
  lspNodeId: LSP_NODE_ID,
  lspAddress: '127.0.0.1:9735',
  lspProtocol: 'auto',
  'jitRoute.scid': JIT_ROUTE.scid,
  store: 'file:/var/lib/mayfly-is-not-here',
  'lease.takeOver': 'expired',
}

const words = (count, last, word = 'abandon') => [...Array(count - 1).fill(word), last].join(' ')

const MNEMONICS = [
  [words(11, 'about'), /11 words; 12, 15, 18, 21 or 24/],
  [words(13, 'about'), /13 words/],
  [words(12, 'abandon'), /checksum does not match/],
  [words(12, 'zoo'), /checksum does not match/],
  [MNEMONIC.toUpperCase(), /the words are lower case/],
  [MNEMONIC.replace('abandon', 'Abandon'), /word 1 of 12 .* lower case/],
  [MNEMONIC.replaceAll(' ', ', '), /spaces, not commas/],
  [MNEMONIC.split(' ').map((word, i) => `${i + 1}. ${word}`).join(' '), /24 .*numbers|leave out the numbers/],
  [MNEMONIC.split(' ').map((word, i) => `${i + 1}.${word}`).join(' '), /leave out the numbers/],
  [MNEMONIC.replaceAll(' ', '-'), /1 word;/],
  [MNEMONIC.replaceAll(' ', ''), /1 word;/],
  [MNEMONIC.replace('abandon', 'aban'), /word 1 of 12 .* not in the English/],
  // French, Spanish and Japanese wallets: other lists, other seeds.
  [words(12, 'abreuver', 'abaisser'), /not in the English BIP 39 list/],
  [words(12, 'abierto', 'ábaco'), /not in the English .* outside plain a–z/],
  [words(12, 'あおぞら', 'あいこくしん'), /not in the English .* outside plain a–z/],
  ['00'.repeat(16), /1 word;.*numbers/],
  [words(12, 'about').split(' ').join('  '), undefined, MNEMONIC],
  [words(12, 'about').split(' ').join('\n'), undefined, MNEMONIC],
  [words(12, 'about').split(' ').join('\u00a0'), undefined, MNEMONIC],
  [`\t${MNEMONIC}\r\n`, undefined, MNEMONIC],
  [words(15, 'address')],
  [words(18, 'agent')],
  [words(21, 'admit')],
  [words(24, 'art')],
  [words(24, 'vote', 'zoo')],
]

const NODE_IDS = [
  [`02${'ff'.repeat(32)}`, /not a point on the curve/],
  [`02${'00'.repeat(32)}`, /not a point on the curve/],
  [`04${LSP_NODE_ID.slice(2)}`, /begin with 02 or 03/],
  [LSP_NODE_ID.slice(2), /has 64 characters; .* 66/],
  [`${LSP_NODE_ID}00`, /has 68 characters/],
  [`04${'79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'.repeat(2)}`, /has 130 characters/],
  [`0x${LSP_NODE_ID}`, /character 2 is not one/],
  [`${LSP_NODE_ID}@127.0.0.1:9735`, /belongs into lspAddress/],
  [LSP_NODE_ID.replace('e', 'O'), /character 6 is not one/],
  [LSP_NODE_ID.toUpperCase(), undefined, LSP_NODE_ID],
  [LSP_NODE_ID.replace('be', 'Be'), undefined, LSP_NODE_ID],
]

const PORT = /the port must be a number from 1 to 65535/
const NAME = /neither an IP address nor a DNS name/
const NUMERIC = /ends in a number but is not an IPv4 address/
const ADDRESSES = [
  ['127.0.0.1', /the port is missing/],
  ['[::1]', /the port is missing/],
  ['127.0.0.1:', PORT],
  ['127.0.0.1:0', PORT],
  ['127.0.0.1:65536', PORT],
  ['127.0.0.1:-1', PORT],
  ['127.0.0.1:+1', PORT],
  ['127.0.0.1:1e3', PORT],
  ['127.0.0.1:9735/', PORT],
  ['127.0.0.1:９７３５', PORT],
  [':9735', /the host is missing/],
  ['9735', NUMERIC],
  ['::1:9735', /stands in brackets/],
  ['[::1%lo]:9735', /not an IPv6 address/],
  ['[::1]9735', /a colon and a port/],
  ['[::1:9735', /never closed/],
  ['[127.0.0.1]:9735', /not an IPv6 address/],
  ['127.1:9735', NUMERIC],
  ['2130706433:9735', NUMERIC],
  ['0x7f.1:9735', NUMERIC],
  ['0127.0.0.1:9735', NUMERIC],
  ['256.0.0.1:9735', NUMERIC],
  ['lsp.example.com.:9735', NAME],
  ['.example.com:9735', NAME],
  ['lsp..com:9735', NAME],
  ['-lsp.com:9735', NAME],
  ['lsp example:9735', NAME],
  [`${'a'.repeat(64)}.com:9735`, NAME],
  [`${'a.'.repeat(127)}com:9735`, NAME],
  ['*.example.com:9735', NAME],
  ['bücher.example:9735', /punycode/],
  ['🦋:9735', /punycode/],
  ['abc.onion:9735', /Tor/],
  ['tcp://lsp.example.com:9735', /no scheme/],
  [`${LSP_NODE_ID}@127.0.0.1:9735`, /lspNodeId/],
  ['127.0.0.1:9735,127.0.0.2:9735', /./],
  ['127.0.0.1:1'],
  ['127.0.0.1:65535'],
  ['127.0.0.1:09735'],
  ['[::1]:9735'],
  ['[2001:DB8::1]:9735'],
  ['[::ffff:127.0.0.1]:9735'],
  ['localhost:9735'],
  ['LSP.Example.COM:9735'],
  ['lsp_1:9735'],
  ['xn--bcher-kva.example:9735'],
]

const URLS = [
  ['blockstream.info/api', /must begin with https/],
  ['//blockstream.info/api', /must begin with https/],
  ['https:/blockstream.info/api', /must begin with https/],
  ['https:blockstream.info', /must begin with https/],
  ['ftp://blockstream.info', /scheme must be https or http/],
  ['ws://blockstream.info', /scheme must be https or http/],
  ['file:///etc/passwd', /scheme must be https or http/],
  ['javascript://alert(1)', /scheme must be https or http/],
  ['https://', /the host is missing/],
  ['https://:443', /the host is missing/],
  ['https://blockstream.info:0', PORT],
  ['https://blockstream.info:65536', PORT],
  ['https://user:password@blockstream.info', /user name or password/],
  ['https://blockstream.info/api?key=1', /query/],
  ['https://blockstream.info/api#top', /query/],
  ['https://blockstream info/api', /whitespace/],
  ['https://blockstream.info/a\tb', /whitespace/],
  ['https://bücher.example', /punycode/],
  ['https://127.1/api', NUMERIC],
  ['https://blockstream.info./api', NAME],
  ['https://::1/api', /stands in brackets/],
  ['https://blockstream.info\\api', NAME],
  ['https://blockstream.info/<api>', /characters/],
  ['https://blockstream.info/äpi', /characters/],
  ['http://127.0.0.1'],
  ['http://127.0.0.1/'],
  ['HTTPS://Blockstream.Info/API'],
  ['http://[::1]:3002/'],
  ['http://esplora_1:80/api/'],
  ['https://blockstream.info/a%20b'],
]

const UNBUILT = /which this version does not have; 'file:<directory>'/
const NONE = /names no store; 'file:<directory>'/
const STORES = [
  ['postgres://wallet:hunter2@db.example/wallet'],
  ['postgresql://wallet:hunter2@db.example:6543/wallet?sslmode=require&channel_binding=require&pgbouncer=true'],
  ['postgres://wallet@/wallet?host=/var/run/postgresql'],
  ['postgres://wallet:100%25%40home@127.0.0.1/wallet?sslmode=disable'],
  ['postgresql://db.example/wallet', /names no user/],
  ['postgres://wallet:a/b@db.example/wallet', /percent-encode it/],
  ['postgres://wallet:100%@db.example/wallet', /a percent sign is %25/],
  ['postgres://wallet@db.example/wallet?sslmode=none', /'sslmode' that does not exist/],
  ['postgres://wallet@db.example/wallet?sslmode=no-verify', /always verified/],
  ['postgres://wallet@a.example,b.example/wallet', /names several hosts/],
  ['postgres://wallet@db.example/wallet?options=-csearch_path%3Dx', /options/],
  ['vss+https://vss.example', UNBUILT],
  ['s3://bucket/key', UNBUILT],
  ['http://127.0.0.1', UNBUILT],
  ['postgres:wallet:hunter2@db', NONE],
  ['sqlite:/var/lib/wallet', NONE],
  ['memory', NONE],
  ['MEMORY:', NONE],
  ['FILE:/var/lib/wallet', NONE],
  ['C:\\wallet', NONE],
  ['wallet', NONE],
  ['memory:x', /something behind it/],
  ['memory://', /something behind it/],
  ['/var/lib/wallet', /write 'file:' before a directory/],
  ['./wallet', /write 'file:' before a directory/],
  ['../wallet', /write 'file:' before a directory/],
  ['file:', /names no directory/],
  ['file:/', /names no directory/],
  ['file:///', /names no directory/],
  ['file://host/wallet', /and a host/],
  ['file://localhost/wallet', /and a host/],
  ['file:~/wallet', /only a shell expands/],
  ['file:/a%20b', /percent escape/],
  ['file:/wallet?mode=ro', /no query or fragment/],
  ['file:/wallet#1', /no query or fragment/],
  ['file: /wallet', /begins or ends with whitespace/],
  ['file:/a\0b', /can't be seen/],
  ['file:/a\nb', /can't be seen/],
  ['file:/a\u200bb', /can't be seen/],
  ['memory:'],
  ['file:wallet'],
  ['file:./wallet'],
  ['file:../wallet'],
  ['file:///var/lib/mayfly-is-not-here'],
  ['file:/with a space/ü/🦋/100%'],
]

const FORM = /must be <block>x<transaction>x<output>/
/** Also of the argument of that name. */
export const SCIDS = [
  ['', FORM],
  ['1x2', FORM],
  ['1x2x3x4', FORM],
  ['1x2x3x', FORM],
  ['1X2X3', FORM],
  ['1:2:3', FORM],
  ['1×2×3', FORM],
  ['1xx3', FORM],
  ['-1x2x3', FORM],
  ['+1x2x3', FORM],
  ['1.0x2x3', FORM],
  ['0x1fx2', FORM],
  ['٣x1x1', FORM],
  ['562949953421312', FORM],
  ['16777216x0x0', /block must be at most 16777215/],
  ['0x16777216x0', /transaction must be at most 16777215/],
  ['0x0x65536', /output must be at most 65535/],
  [`${'9'.repeat(40)}x0x0`, /block must be at most/],
  ['0x0x0'],
  ['16777215x16777215x65535'],
  ['01x02x03', undefined, '1x2x3'],
]

const exactly = (pattern, ...wrong) => wrong.map((text) => [text, pattern])

/** By option. */
export const FORMS = {
  network: exactly(/'mainnet', 'testnet', 'signet' or 'regtest'/, 'bitcoin', 'main', 'livenet', 'Mainnet', 'MAINNET', 'testnet3', 'testnet4', 'simnet', 'mutinynet', 'regtest,signet'),
  mnemonic: MNEMONICS,
  esploraUrl: URLS,
  lspNodeId: NODE_IDS,
  lspAddress: ADDRESSES,
  lspProtocol: [['lsps2', /which this version does not have/], ...exactly(/'auto' or 'lsps4'/, 'Auto', 'LSPS4', 'lsps-4', 'lsps1', '4', 'none')],
  'jitRoute.scid': SCIDS,
  store: STORES,
  'lease.takeOver': exactly(/'expired' or 'unrenewed'/, 'Expired', 'never', 'always', 'true'),
}
