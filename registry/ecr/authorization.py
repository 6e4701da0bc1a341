"""GetAuthorizationToken: the password of user AWS for `docker login` (Amazon ECR, "Private registry authentication")."""

import base64

from auth.authenticate import PASSWORD_AUDIENCE
from auth.tokens import PASSWORD_LIFETIME
from registry.ecr.call import Call, Registry, Result
from registry.names import RegistryId


async def get_authorization_token(ecr: Registry, call: Call) -> Result:
    token, expires_at = ecr.tokens.issue(
        PASSWORD_AUDIENCE, call.principal, region=call.region, lifetime=PASSWORD_LIFETIME
    )
    password = base64.b64encode(f"AWS:{token}".encode()).decode()
    accounts = dict.fromkeys(call.params.get("registryIds") or [call.account])
    return {
        "authorizationData": [
            {
                "authorizationToken": password,
                "expiresAt": expires_at,
                "proxyEndpoint": ecr.endpoint(RegistryId(account, call.region), call),
            }
            for account in accounts
        ]
    }
