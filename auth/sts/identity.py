"""Who is who: GetCallerIdentity, GetAccessKeyInfo, DecodeAuthorizationMessage."""

from typing import Final

from auth.identifiers import account_in
from auth.sts.call import Call, Result, Row, Sts, nothing, on_everything, validation
from auth.sts.messages import MessageInvalid
from aws.errors import AwsError


async def _get_caller_identity(_: Sts, call: Call) -> Result:
    """Needs no leave: whoever can sign may know who they are."""
    return {"UserId": call.principal.unique_id, "Account": call.account, "Arn": call.principal.arn}


async def _get_access_key_info(sts: Sts, call: Call) -> Result:
    """Whatever the state of the key: an id that was issued here names its account, one that was chosen is looked up."""
    identifier = call.params["AccessKeyId"]
    account = await sts.keyring.account_of(identifier) or account_in(identifier)
    if account is None:
        raise validation("Access key id is not valid.")
    return {"Account": account}


async def _decode_authorization_message(sts: Sts, call: Call) -> Result:
    try:
        return {"DecodedMessage": sts.messages.decode(call.params["EncodedMessage"], call.account)}
    except MessageInvalid as error:
        raise AwsError(
            "InvalidAuthorizationMessageException", "Message is not valid or has expired.", status=400
        ) from error


ROWS: Final = (
    Row("GetCallerIdentity", _get_caller_identity, nothing),
    Row("GetAccessKeyInfo", _get_access_key_info, on_everything("GetAccessKeyInfo")),
    Row(
        "DecodeAuthorizationMessage",
        _decode_authorization_message,
        on_everything("DecodeAuthorizationMessage"),
    ),
)
