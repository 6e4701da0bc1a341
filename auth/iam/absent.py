"""What users of AWS may have and users here never do: passwords, MFA devices, SSH keys, certificates, credentials of
single services. Tools ask for them before they delete a user, and learn that there are none."""

from typing import Any, Final

from auth.iam.call import Call, Handler, Iam, Result, Row, on_everything
from auth.iam.identities import caller_or_named, on_user_or_caller
from aws.errors import AwsError


def _none(member: str) -> Handler:
    """An empty list of what the user has. Raises AwsError where there is no such user."""

    async def listing(iam: Iam, call: Call) -> Result:
        if not call.params.get("AllUsers"):
            await caller_or_named(iam, call)
        return {member: list[Any](), "IsTruncated": False}

    return listing


async def list_virtual_mfa_devices(iam: Iam, call: Call) -> Result:  # noqa: ARG001 - every handler is called alike
    return {"VirtualMFADevices": [], "IsTruncated": False}


async def refuse_login_profile(iam: Iam, call: Call) -> Result:
    """Raises AwsError: no user has a password."""
    user = await caller_or_named(iam, call)
    name = call.account if user is None else user.name
    raise AwsError("NoSuchEntityException", f"Login Profile for User {name} cannot be found.", status=404)


ROWS: Final = (
    Row("GetLoginProfile", refuse_login_profile, on_user_or_caller("GetLoginProfile")),
    Row("DeleteLoginProfile", refuse_login_profile, on_user_or_caller("DeleteLoginProfile")),
    Row("ListMFADevices", _none("MFADevices"), on_user_or_caller("ListMFADevices")),
    Row("ListVirtualMFADevices", list_virtual_mfa_devices, on_everything("ListVirtualMFADevices")),
    Row("ListSSHPublicKeys", _none("SSHPublicKeys"), on_user_or_caller("ListSSHPublicKeys")),
    Row("ListSigningCertificates", _none("Certificates"), on_user_or_caller("ListSigningCertificates")),
    Row(
        "ListServiceSpecificCredentials",
        _none("ServiceSpecificCredentials"),
        on_user_or_caller("ListServiceSpecificCredentials"),
    ),
)
