// How oauth4webapi sends its requests: by somebody's own `fetch`, to URLs that may be called. Knows no endpoint.
import {
  allowInsecureRequests,
  customFetch,
  type IntrospectionRequestOptions,
  type ValidateSignatureOptions,
} from 'oauth4webapi'
import type { Fetch } from '../http/fetched-documents.js'
import { safeUrl } from '../http/safe-url.js'

/** How requests are sent. */
export interface OAuthTransport {
  readonly [allowInsecureRequests]: boolean
  readonly [customFetch]: NonNullable<IntrospectionRequestOptions[typeof customFetch]> &
    NonNullable<ValidateSignatureOptions[typeof customFetch]>
}

export function oauthTransport(send: Fetch = fetch, dangerouslyAllowHttp = false): OAuthTransport {
  return {
    // Which URLs may be plain http is decided below, for those of the options and for those of the metadata alike.
    [allowInsecureRequests]: true,
    [customFetch]: async (url, { body, signal, ...init }) =>
      send(safeUrl(url, dangerouslyAllowHttp), { ...init, body: body ?? null, signal: signal ?? null }),
  }
}
