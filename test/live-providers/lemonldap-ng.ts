// LemonLDAP::NG of the next Debian, unpacked beside the system and run from there with its own Perl. Knows no scenario.
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, vi } from 'vitest'
import { dataDirectory, freePort } from '../servers/processes.js'
import { cached, run } from './cache.js'
import { clientsOf } from './live.js'
import type { LiveRps } from './live-provider.js'
import { answers, type Program, startProgram } from './program.js'

/** Debian 12 has 2.16, which knows no back-channel logout. */
const SUITE = 'trixie'
const KEYRING = `/usr/share/keyrings/debian-archive-${SUITE}-automatic.gpg`
export const CLIENT_SECRET = 'secretsecretsecret'

/** Whether the packages of that suite can be verified here: Debian's archive, and its newer keys. */
export const canBeHad = existsSync(KEYRING)

/** Where this machine gets Debian's packages from. */
async function archive(): Promise<string> {
  const targets = await run('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'])
  const found = targets.split('\n').find((uri) => uri !== '' && !uri.includes('security'))
  if (found === undefined) throw new Error('apt-get knows no source of packages')
  return found
}

/**
 * By apt-get, with lists and a status of its own: it sees an empty system, so that everything down to the C library
 * comes along.
 */
async function unpack(): Promise<string> {
  return cached(`lemonldap-ng-${SUITE}`, async (folder) => {
    const at = (name: string) => join(folder, name)
    for (const name of ['lists/partial', 'packages/archives/partial', 'root']) mkdirSync(at(name), { recursive: true })
    writeFileSync(at('sources'), `deb [signed-by=${KEYRING}] ${await archive()} ${SUITE} main\n`)
    const settings = {
      'Dir::Etc::SourceList': at('sources'),
      'Dir::Etc::SourceParts': '-',
      'Dir::Etc::PreferencesParts': '-',
      'Dir::State::Lists': at('lists'),
      'Dir::State::Status': '/dev/null',
      'Dir::Cache': at('packages'),
      'Debug::NoLocking': '1',
      'APT::Sandbox::User': '',
      'Acquire::Languages': 'none',
      'Acquire::Retries': '3',
    }
    const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
    await run('apt-get', ['update', '-q', ...options])
    // Perl modules that the portal loads and its package only recommends or suggests.
    const mail = ['libemail-address-perl', 'libemail-sender-perl', 'libmime-tools-perl']
    const ofPerl = [...mail, 'libcrypt-jwt-perl', 'libio-string-perl', 'libstring-random-perl']
    const packages = ['liblemonldap-ng-portal-perl', 'lemonldap-ng', ...ofPerl]
    const quietly = ['-y', '-q', '--download-only', '--no-install-recommends']
    await run('apt-get', ['install', ...quietly, ...options, ...packages])
    const archives = readdirSync(at('packages/archives')).filter((name) => name.endsWith('.deb'))
    for (const name of archives) await run('dpkg-deb', ['-x', join(at('packages/archives'), name), at('root')])
    for (const name of ['lists', 'packages']) await run('rm', ['-r', at(name)])
    // Merged since Debian 12; the packages bring no link themselves if their base-files was not among them.
    if (!existsSync(at('root/lib'))) symlinkSync('usr/lib', at('root/lib'))
  })
}

/** Of the machine's architecture, as Debian names it in paths. */
function perlOf(root: string) {
  const [triplet = ''] = readdirSync(join(root, 'usr/lib')).filter((name) => name.endsWith('-linux-gnu'))
  const libraries = join(root, 'usr/lib', triplet)
  const loader = readdirSync(libraries).find((name) => name.startsWith('ld-linux')) ?? ''
  const [version = ''] = readdirSync(join(root, 'usr/share/perl')).filter((name) => /^5\.\d+$/.test(name))
  const modules = [
    join(root, 'etc/perl'),
    join(libraries, 'perl5', version),
    join(root, 'usr/share/perl5'),
    join(libraries, 'perl-base'),
    join(libraries, 'perl', version),
    join(root, 'usr/share/perl', version),
  ]
  return {
    program: join(libraries, loader),
    args: ['--library-path', libraries, join(root, 'usr/bin/perl')],
    env: { PERL5LIB: modules.join(':'), LC_ALL: 'C' },
  }
}

export async function version(): Promise<string> {
  const { program, args, env } = perlOf(join(await unpack(), 'root'))
  const asked = ['-MLemonldap::NG::Portal', '-e', 'print $Lemonldap::NG::Portal::VERSION']
  return run(program, [...args, ...asked], { env })
}

/** What the manager writes for a signing key. */
function signingKey(): object {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  return {
    oidcServicePrivateKeySig: privateKey,
    oidcServicePublicKeySig: publicKey,
    oidcServiceKeyIdSig: randomUUID(),
  }
}

function withOldKey(settings: object): object {
  const names = ['PrivateKeySig', 'PublicKeySig', 'KeyIdSig']
  return Object.fromEntries(names.map((name) => [`oidcServiceOld${name}`, Object(settings)[`oidcService${name}`]]))
}

function configuration(packaged: string, folder: string, issuer: string, rps: LiveRps): object {
  const clients = clientsOf(rps)
  const files = (name: string) => ({ Directory: join(folder, name), LockDirectory: join(folder, name, 'lock') })
  const each = (of: (client: (typeof clients)[number]) => object) =>
    Object.fromEntries(clients.map((client) => [client.name, of(client)]))
  return {
    ...JSON.parse(readFileSync(packaged, 'utf8')),
    portal: `${issuer}/`,
    domain: '127.0.0.1',
    securedCookie: 0,
    requireToken: 0,
    key: 'sixteen-letters-',
    // Users of its own, whose passwords are their names.
    authentication: 'Demo',
    userDB: 'Same',
    passwordDB: 'Demo',
    registerDB: 'Null',
    reloadUrls: {},
    macros: {},
    groups: {},
    exportedVars: {},
    issuerDBOpenIDConnectActivation: 1,
    oidcServiceMetaDataIssuer: issuer,
    oidcServiceAllowAuthorizationCodeFlow: 1,
    ...signingKey(),
    // It looks for a newer configuration every so many seconds, when it is asked for something.
    checkTime: 1,
    checkMsg: 1,
    globalStorage: 'Apache::Session::File',
    globalStorageOptions: files('sessions'),
    persistentStorage: 'Apache::Session::File',
    persistentStorageOptions: files('psessions'),
    // Each of these would load Perl modules that the packages only suggest.
    captcha_login_enabled: 0,
    captcha_mail_enabled: 0,
    captcha_register_enabled: 0,
    portalDisplayRegister: 0,
    portalDisplayResetPassword: 0,
    portalDisplayCertificateResetByMail: 0,
    localSessionStorage: '',
    localSessionStorageOptions: {},
    locationRules: { [new URL(issuer).host]: { default: 'accept' } },
    oidcRPMetaDataOptions: each(({ name, origin, receiver, sidRequired }) => {
      const options = {
        ClientID: name,
        ClientSecret: CLIENT_SECRET,
        DisplayName: name,
        BypassConsent: 1,
        UserIDAttr: 'uid',
        RedirectUris: `${origin}/callback`,
        PostLogoutRedirectUris: `${origin}/logged-out`,
        LogoutUrl: receiver,
        LogoutType: 'back',
        LogoutSessionRequired: Number(sidRequired),
        IDTokenSignAlg: 'RS256',
        // This one signs the Logout Token.
        AccessTokenSignAlg: 'RS256',
      }
      return Object.fromEntries(Object.entries(options).map(([name, v]) => [`oidcRPMetaDataOptions${name}`, v]))
    }),
    oidcRPMetaDataExportedVars: each(() => ({ name: 'cn', email: 'mail' })),
    oidcRPMetaDataOptionsExtraClaims: each(() => ({})),
  }
}

export interface LemonLdap extends Program {
  readonly issuer: string
  /** As the manager does: a new configuration, in which the key that signed until now stays published. */
  rotateKeys(): Promise<void>
}

/**
 * One process: it answers nothing else while it waits for an RP. Several each remember sessions for a while, and a
 * logout then tells only the RPs that its own worker has heard of.
 */
export async function startLemonLdap(rps: LiveRps): Promise<LemonLdap> {
  const root = join(await unpack(), 'root')
  const { program, args, env } = perlOf(root)
  const data = dataDirectory('lemonldap-ng')
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const at = (name: string) => join(data.path, name)
  for (const name of ['conf', 'sessions/lock', 'psessions/lock', 'cache']) mkdirSync(at(name), { recursive: true })
  const packaged = join(root, 'var/lib/lemonldap-ng/conf/lmConf-1.json')
  let settings = configuration(packaged, data.path, issuer, rps)
  let numbered = 0
  const configure = () => {
    numbered += 1
    const saved = { ...settings, cfgNum: numbered, cfgDate: Math.floor(Date.now() / 1000) }
    writeFileSync(at(`conf/lmConf-${numbered}.json`), JSON.stringify(saved))
  }
  configure()
  writeFileSync(
    at('lemonldap-ng.ini'),
    `[all]
logLevel = warn
[configuration]
type = File
dirName = ${at('conf')}
localStorage = Cache::FileCache
localStorageOptions = { 'namespace' => 'conf', 'default_expires_in' => 600, 'cache_root' => '${at('cache')}', 'cache_depth' => 3 }
[portal]
staticPrefix = /static
templateDir = ${join(root, 'usr/share/lemonldap-ng/portal/templates')}
languages = en
`,
  )
  const logger = 'Lemonldap::NG::Common::Logger::Std'
  writeFileSync(
    at('portal.psgi'),
    `use Lemonldap::NG::Portal::Main;
Lemonldap::NG::Portal::Main->run({ logger => '${logger}', userLogger => '${logger}' });
`,
  )
  const listening = ['--host', '127.0.0.1', '--port', String(port), '--no-default-middleware']
  const { stop } = await startProgram(program, {
    args: [...args, join(root, 'usr/bin/plackup'), '-s', 'HTTP::Server::PSGI', ...listening, at('portal.psgi')],
    env: { ...env, LLNG_DEFAULTCONFFILE: at('lemonldap-ng.ini'), LLNG_DEFAULTLOGGER: logger },
    isReady: answers(`${issuer}/.well-known/openid-configuration`),
  })
  const keyIds = async (): Promise<string> => {
    const { jwks_uri } = JSON.parse(await (await fetch(`${issuer}/.well-known/openid-configuration`)).text())
    const { keys } = JSON.parse(await (await fetch(jwks_uri)).text())
    return keys.map(({ kid }: { kid: string }) => kid).join()
  }
  return {
    issuer,
    async rotateKeys() {
      const before = await keyIds()
      settings = { ...settings, ...withOldKey(settings), ...signingKey() }
      configure()
      await vi.waitFor(async () => expect(await keyIds()).not.toBe(before), { timeout: 15_000, interval: 250 })
    },
    async stop() {
      await stop()
      data.remove()
    },
  }
}
