"""What the operations of Organizations answer when they do not succeed: AWS's exceptions, reasons and texts.

The texts are those that AWS is seen to send; where none is known, the API reference's about the exception or reason.
"""

from collections.abc import Sequence
from typing import Final

from aws.errors import AwsError
from aws.validate import Violation

TEXTS: Final = {
    "AWSOrganizationsNotInUseException": "Your account is not a member of an organization.",
    "AccessDeniedException": "You don't have permissions to access this resource.",
    "AccountAlreadyClosedException": "This account is already closed.",
    "AccountNotFoundException": "You specified an account that doesn't exist.",
    "AlreadyInOrganizationException": "The AWS account is already a member of an organization.",
    "ChildNotFoundException": "You specified a child that doesn't exist.",
    "ConcurrentModificationException": (
        "The target of the operation is currently being modified by a different request. Try again later."
    ),
    "CreateAccountStatusNotFoundException": "You specified a create account request that doesn't exist.",
    "DestinationParentNotFoundException": "You specified a destination parent that doesn't exist.",
    "DuplicateAccountException": "That account is already present in the specified destination.",
    "DuplicateHandshakeException": "A handshake with the same action and target already exists.",
    "DuplicateOrganizationalUnitException": "An OU with the same name already exists.",
    "DuplicatePolicyAttachmentException": "A policy with the specified name and type already exists.",
    "DuplicatePolicyException": "A policy with the specified name and type already exists.",
    "EffectivePolicyNotFoundException": "The account doesn't have an effective policy of this type.",
    "HandshakeAlreadyInStateException": "The specified handshake is already in the requested state.",
    "HandshakeNotFoundException": "You specified a handshake that doesn't exist.",
    "InvalidHandshakeTransitionException": "You can't perform the operation on the handshake in its current state.",
    "MalformedPolicyDocumentException": (
        "The provided policy document does not meet the requirements of the specified policy type."
    ),
    "MasterCannotLeaveOrganizationException": "You can't remove a management account from an organization.",
    "OrganizationNotEmptyException": (
        "To delete an organization you must first remove all member accounts (except the management account)."
    ),
    "OrganizationalUnitNotEmptyException": "You can delete an organizational unit only if it is empty.",
    "OrganizationalUnitNotFoundException": "You specified an organizational unit that doesn't exist.",
    "ParentNotFoundException": "You specified parent that doesn't exist.",
    "PolicyInUseException": "The policy is attached to one or more entities.",
    "PolicyNotAttachedException": "The policy isn't attached to the specified target.",
    "PolicyNotFoundException": "You specified a policy that doesn't exist.",
    "PolicyTypeAlreadyEnabledException": "The specified policy type is already enabled.",
    "PolicyTypeNotAvailableForOrganizationException": (
        "You can't use the specified policy type with the feature set currently enabled for this organization."
    ),
    "PolicyTypeNotEnabledException": "This operation can be performed only for enabled policy types.",
    "RootNotFoundException": "You specified a root that doesn't exist.",
    "SourceParentNotFoundException": "You specified a source parent that doesn't exist.",
    "TargetNotFoundException": "You specified a target that doesn't exist.",
}
CONSTRAINTS: Final = {
    "ALREADY_IN_AN_ORGANIZATION": "The invited account is already a member of an organization.",
    "CANNOT_CLOSE_MANAGEMENT_ACCOUNT": "You attempted to close the management account.",
    "INVITE_DISABLED_DURING_ENABLE_ALL_FEATURES": (
        "You can't issue new invitations to join an organization while it's in the process of enabling all features."
    ),
    "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED": (
        "You have attached the maximum number of policies to the specified target."
    ),
    "MAX_TAG_LIMIT_EXCEEDED": "You have exceeded the number of tags allowed on this resource.",
    "MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED": (
        "You cannot remove the last policy attached to the specified target. You must have at least one attached at all "
        "times."
    ),
    "ORGANIZATION_ALREADY_HAS_ALL_FEATURES": "The organization has already enabled all features.",
    "ORGANIZATION_IS_ALREADY_PENDING_ALL_FEATURES_MIGRATION": (
        "The organization has already started the process to enable all features."
    ),
    "ORGANIZATION_NOT_IN_ALL_FEATURES_MODE": "This operation requires the organization to have all features enabled.",
    "OU_DEPTH_LIMIT_EXCEEDED": "You attempted to create an OU tree that is too many levels deep.",
    "OU_NUMBER_LIMIT_EXCEEDED": "You attempted to exceed the number of OUs that you can have in an organization.",
    "POLICY_CONTENT_LIMIT_EXCEEDED": "You have exceeded the maximum policy size.",
    "POLICY_NUMBER_LIMIT_EXCEEDED": "You attempted to exceed the number of policies that you can have in an organization.",
}
INVALID: Final = {
    "DUPLICATE_TAG_KEY": "Tag keys must be unique among the tags attached to the same entity.",
    "IMMUTABLE_POLICY": "You specified a policy that is managed by AWS and can't be modified.",
    "INPUT_REQUIRED": "You must include a value for all required parameters.",
    "INVALID_EMAIL_ADDRESS_TARGET": "You specified an invalid email address for the invited account owner.",
    "INVALID_ENUM": "You specified an invalid value.",
    "INVALID_ENUM_POLICY_TYPE": "You specified an invalid value.",
    "INVALID_LIST_MEMBER": "You provided a list to a parameter that contains at least one invalid value.",
    "INVALID_NEXT_TOKEN": "Get the value for the NextToken parameter from the response to a previous call of the operation.",
    "INVALID_PARTY_TYPE_TARGET": "You specified the wrong type of entity (account, organization, or email) as a party.",
    "INVALID_PATTERN": "You provided a value that does not match the required pattern.",
    "INVALID_ROLE_NAME": (
        "You provided a role name that isn't valid. A role name can't begin with the reserved prefix AWSServiceRoleFor."
    ),
    "INVALID_SYSTEM_TAGS_PARAMETER": "You specified a tag key that is a system tag.",
    "MAX_LENGTH_EXCEEDED": "You provided a string parameter that is longer than allowed.",
    "MAX_LIMIT_EXCEEDED_FILTER": "You can specify only one filter parameter for the operation.",
    "MAX_VALUE_EXCEEDED": "You provided a numeric parameter that has a larger value than allowed.",
    "MIN_LENGTH_EXCEEDED": "You provided a string parameter that is shorter than allowed.",
    "MIN_VALUE_EXCEEDED": "You provided a numeric parameter that has a smaller value than allowed.",
    "TARGET_NOT_SUPPORTED": "You can't perform the specified operation on that target entity.",
}
_REASONS: Final = {
    "null": "INPUT_REQUIRED",
    "pattern": "INVALID_PATTERN",
    "enum": "INVALID_ENUM",
    "length-least": "MIN_LENGTH_EXCEEDED",
    "length-most": "MAX_LENGTH_EXCEEDED",
    "value-least": "MIN_VALUE_EXCEEDED",
    "value-most": "MAX_VALUE_EXCEEDED",
}


def failure(code: str, message: str | None = None) -> AwsError:
    """An exception of the model, in the usual words where none are given."""
    return AwsError(code, TEXTS[code] if message is None else message)


def constraint(reason: str) -> AwsError:
    """A limit of the service would be broken."""
    return AwsError("ConstraintViolationException", CONSTRAINTS[reason], fields={"Reason": reason})


def handshake_constraint(reason: str) -> AwsError:
    return AwsError("HandshakeConstraintViolationException", CONSTRAINTS[reason], fields={"Reason": reason})


def invalid_input(reason: str) -> AwsError:
    return AwsError("InvalidInputException", INVALID[reason], fields={"Reason": reason})


def report(violations: Sequence[Violation]) -> AwsError:
    """The first violation of the model, as InvalidInputException."""
    first = violations[0]
    if first.of:
        return invalid_input("INVALID_LIST_MEMBER")
    reason = _REASONS[first.constraints[0].kind]
    if reason == "INVALID_ENUM" and first.path in {"type", "filter", "policyType"}:
        reason = "INVALID_ENUM_POLICY_TYPE"
    return invalid_input(reason)
