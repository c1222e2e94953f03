# idpyoidc, the library behind certification tools, as an OpenID Provider with the clients that CLIENTS lists. No password is
# asked: the user is named by login_hint.
import json
import os

from cryptojwt.key_bundle import build_key_bundle, update_key_bundle
from flask import Flask, make_response, redirect, request
from idpyoidc.server import Server
from idpyoidc.server.configure import OPConfiguration
from idpyoidc.server.user_authn.authn_context import INTERNETPROTOCOLPASSWORD

PORT, WORK = int(os.environ['PORT']), os.environ['WORK']
CLIENTS, SECRET = json.loads(os.environ['CLIENTS']), os.environ['CLIENT_SECRET']
ISSUER = f'http://127.0.0.1:{PORT}'
OIDC = 'idpyoidc.server.oidc'
NO_AUTHENTICATION = {'client_authn_method': None}


def secret_keys(*names):
    return {'keys': {'key_defs': [{'type': 'OCT', 'use': [use], 'kid': kid} for use, kid in names]}}


def endpoint(path, of, **kwargs):
    return {'path': path, 'class': f'{OIDC}.{of}', 'kwargs': kwargs}


def token_class(of, **kwargs):
    return {'class': f'idpyoidc.server.token.{of}', 'kwargs': kwargs}


class Users(dict):
    """Everybody is known."""

    def __missing__(self, name):
        return {'sub': name}


configuration = {
    'issuer': ISSUER,
    'capabilities': {
        'response_types_supported': ['code'],
        'subject_types_supported': ['public'],
        'id_token_signing_alg_values_supported': ['RS256'],
        'scopes_supported': ['openid'],
    },
    'keys': {
        'private_path': f'{WORK}/jwks.json',
        'public_path': f'{WORK}/public.json',
        'uri_path': 'jwks',
        'read_only': False,
        'key_defs': [{'type': 'RSA', 'use': ['sig']}, {'type': 'EC', 'crv': 'P-256', 'use': ['sig']}],
    },
    # The encrypted session id becomes the sid, of 304 characters.
    'session_params': {'encrypter': {'kwargs': secret_keys(('enc', 'password'), ('enc', 'salt'))}},
    'cookie_handler': {
        'class': 'idpyoidc.server.cookie_handler.CookieHandler',
        'kwargs': {
            **secret_keys(('enc', 'enc'), ('sig', 'sig')),
            'name': {'session': 'op', 'register': 'op_r', 'session_management': 'op_sm'},
        },
    },
    'endpoint': {
        'provider_config': endpoint(
            '.well-known/openid-configuration', 'provider_config.ProviderConfiguration', **NO_AUTHENTICATION
        ),
        'authorization': endpoint(
            'authorization', 'authorization.Authorization', response_types_supported=['code'], **NO_AUTHENTICATION
        ),
        'token': endpoint('token', 'token.Token', client_authn_method=['client_secret_basic']),
        # signing_alg is that of the verification step, not of the Logout Token.
        'session': endpoint(
            'session',
            'session.Session',
            post_logout_uri_path='post',
            signing_alg='ES256',
            logout_verify_url=f'{ISSUER}/verify_logout',
            **NO_AUTHENTICATION,
        ),
    },
    'userinfo': {
        'class': 'idpyoidc.server.user_info.UserInfo',
        'kwargs': {'db': Users()},
    },
    'authentication': {
        'anon': {
            'acr': INTERNETPROTOCOLPASSWORD,
            'class': 'idpyoidc.server.user_authn.user.NoAuthn',
            'kwargs': {'user': 'alice'},
        }
    },
    'token_handler_args': {
        'jwks_def': {
            'private_path': f'{WORK}/token.json',
            'read_only': False,
            'key_defs': [{'type': 'oct', 'bytes': 24, 'use': ['enc'], 'kid': kid} for kid in ('code', 'refresh')],
        },
        'code': {'lifetime': 600},
        'token': token_class('jwt_token.JWTToken', lifetime=3600),
        'id_token': token_class('id_token.IDToken'),
    },
    'authz': {
        'class': 'idpyoidc.server.authz.AuthzHandling',
        'kwargs': {
            'grant_config': {
                'expires_in': 43200,
                'usage_rules': {
                    'authorization_code': {'supports_minting': ['access_token', 'id_token'], 'max_usage': 1},
                    'access_token': {},
                },
            }
        },
    },
}
server = Server(OPConfiguration(conf=configuration, base_path=WORK, domain='127.0.0.1', port=PORT), cwd=WORK)
context = server.context
for client in CLIENTS:
    context.cdb[client['name']] = {
        'client_id': client['name'],
        'client_secret': SECRET,
        'client_salt': 'salted',
        'response_types_supported': ['code'],
        'allowed_scopes': ['openid'],
        'token_endpoint_auth_method': 'client_secret_basic',
        'redirect_uris': [(f"{client['origin']}/callback", {})],
        'post_logout_redirect_uri': [(f"{client['origin']}/logged-out", None)],
        'backchannel_logout_uri': client['receiver'],
        'backchannel_logout_session_required': client['sidRequired'],
    }
    context.keyjar.add_symmetric(client['name'], SECRET)
# end_session has no client authentication, and the library does not take None for it here.
server.get_endpoint('session').client_authentication = lambda *args, **kwargs: {}

app = Flask(__name__)


def answer(name, arguments):
    endpoint = server.get_endpoint(name)
    info = {
        'headers': {key.lower(): value for key, value in request.headers.items()},
        'method': request.method,
        'url': request.url,
        'cookie': [{'name': key, 'value': value} for key, value in request.cookies.items() if key.startswith('op')],
    }
    parsed = endpoint.parse_request(arguments, http_info=info)
    if 'error' in parsed:
        return parsed.to_dict(), 400
    result = endpoint.process_request(parsed, http_info=info)
    if result.get('http_response'):
        return result['http_response']
    if 'redirect_location' in result:
        response = make_response(redirect(result['redirect_location'], 303))
    else:
        out = endpoint.do_response(**result)
        is_redirect = endpoint.response_placement == 'url' and out['response'].startswith('http')
        response = make_response(redirect(out['response'], 303) if is_redirect else out['response'])
        for header, value in out.get('http_headers', []):
            response.headers[header] = value
    for cookie in result.get('cookie') or []:
        response.set_cookie(cookie['name'], cookie['value'], httponly=True)
    return response


@app.get('/.well-known/openid-configuration')
def metadata():
    return {**context.provider_info, 'issuer': ISSUER}


@app.get('/jwks')
def jwks():
    return context.keyjar.export_jwks_as_json(), 200, {'content-type': 'application/json'}


@app.post('/rotate')
def rotate():
    """New signing keys, and no old ones: what the administration of a provider around this library would do."""
    fresh = build_key_bundle(configuration['keys']['key_defs'])
    for owner in ('', ISSUER):
        for bundle in context.keyjar[owner]:
            old = [key for key in bundle.keys() if key.kty in ('RSA', 'EC')]
            if old:
                update_key_bundle(bundle, {'add': fresh.keys(), 'del': old})
    return '', 204


@app.get('/authorization')
def authorization():
    context.authn_broker.db['anon']['method'].user = request.args.get('login_hint', 'alice')
    return answer('authorization', request.args.to_dict())


@app.post('/token')
def token():
    return answer('token', request.form.to_dict())


@app.get('/session')
def session():
    return answer('session', request.args.to_dict())


@app.get('/verify_logout')
def verify_logout():
    """Where end_session sends the browser to be asked: says yes."""
    endpoint = server.get_endpoint('session')
    info = endpoint.unpack_signed_jwt(request.args['sjwt'])
    endpoint.do_verified_logout(alla=True, **info)
    response = redirect(info.get('redirect_uri', ISSUER), 303)
    # The library knows an ended session by its cookie again, and fails.
    for name in ('op', 'op_sm'):
        response.delete_cookie(name)
    return response


app.run('127.0.0.1', PORT, threaded=True)
