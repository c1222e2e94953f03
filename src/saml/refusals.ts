// Why a SAML message is not acted on, in fixed sentences. Knows no message.
import { LogoutError } from '../errors.js'

const SENTENCES = {
  message_missing: 'The request has no SAMLRequest and no SAMLResponse, or both',
  parameter_repeated: 'A parameter of the SAML message is there more than once, or is spelled in another way',
  encoding_unknown: 'The SAMLEncoding is not DEFLATE',
  relay_state_too_long: 'The RelayState is longer than anybody needs it to be',
  signature_missing: 'The SAML message is not signed',
  not_well_formed: 'The SAML message is no well-formed XML, or has a document type',
  too_complex: 'The SAML message is nested deeper, or has more elements or attributes, than any that is sent',
  not_canonical:
    'The SAML message has a processing instruction, or a namespace or line end, that is verified as another',
  id_unusable: 'An ID of the SAML message is missing, or has characters that no ID has',
  signature_unusable:
    'The Signature of the SAML message does not stand where SAML has it, over the root by one Reference',
  keys_unavailable: 'The certificates of the identity provider could not be had from idpCert of node-saml',
  not_verified: 'node-saml did not verify the SAML message: its signature, its issuer or its time',
  message_unusable: 'The verified message is no LogoutRequest or LogoutResponse that SAML knows',
  readings_differ: 'What node-saml read in the message is not what the signed document says',
  issuer_mismatch: 'The SAML message is of another identity provider',
  destination_missing: 'The SAML message says no Destination, as a signed one must',
  destination_mismatch: 'The SAML message was sent to another address than the option url',
  time_unusable: 'The SAML message does not say when it was issued, or until when it holds, in a form that SAML has',
  expired: 'The LogoutRequest had expired',
  too_old: 'The SAML message was issued longer ago than maxAgeSeconds',
  issued_in_future: 'The SAML message was issued in the future',
  encrypted_name_id: 'The LogoutRequest names its user by an EncryptedID, which is not taken',
  name_id_unusable: 'The LogoutRequest does not name one user by a NameID',
  session_index_unusable: 'A SessionIndex of the LogoutRequest is empty, or no text',
  not_answered: 'node-saml did not make the LogoutResponse',
} as const

/** `reason` of an `ERR_SAML`. */
export type SamlRefusal = keyof typeof SENTENCES

/** The `ERR_SAML` with this reason. Made, not thrown. */
export function samlRefusal(reason: SamlRefusal, cause?: unknown): LogoutError {
  return new LogoutError('ERR_SAML', SENTENCES[reason], { reason, cause })
}
