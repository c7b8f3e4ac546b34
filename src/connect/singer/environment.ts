/**
 * What of our environment others see.
 * Invariant: a tap is code of others: it is given what any program needs and nothing that holds our secrets; pip, which
 * installs it, is the user's own and sees all.
 */

const NEEDED =
  /^(PATH|HOME|USER|LOGNAME|SHELL|TZ|TMPDIR|LANG|LANGUAGE|LC_\w+|(https?|no|all)_proxy|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|XDG_\w+)$/i

type Environment = Readonly<Record<string, string>>

export function ownEnvironment(): Environment {
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}

export function tapEnvironment(extra: Environment): Environment {
  const needed = Object.entries(ownEnvironment()).filter(([name]) => NEEDED.test(name))
  // Otherwise Python keeps what it prints to itself until it ends.
  return { ...Object.fromEntries(needed), PYTHONUNBUFFERED: '1', PYTHONIOENCODING: 'utf-8', ...extra }
}
