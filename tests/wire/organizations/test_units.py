import re

from tests.wire.organizations.conftest import Organization, refusal


def test_a_unit_is_made_found_renamed_and_deleted(organization: Organization):
    client, root = organization.client, organization.root
    made = client.create_organizational_unit(ParentId=root, Name="Prod")["OrganizationalUnit"]
    assert re.fullmatch(rf"ou-{root[2:]}-[a-z0-9]{{8}}", made["Id"])
    assert made == {
        "Id": made["Id"],
        "Arn": f"arn:aws:organizations::{organization.management.id}:ou/{organization.id}/{made['Id']}",
        "Name": "Prod",
        "Path": f"{organization.id}/{root}/{made['Id']}/",
    }
    assert client.describe_organizational_unit(OrganizationalUnitId=made["Id"])["OrganizationalUnit"] == made
    assert client.list_organizational_units_for_parent(ParentId=root)["OrganizationalUnits"] == [made]
    assert client.list_parents(ChildId=made["Id"])["Parents"] == [{"Id": root, "Type": "ROOT"}]
    assert client.list_children(ParentId=root, ChildType="ORGANIZATIONAL_UNIT")["Children"] == [
        {"Id": made["Id"], "Type": "ORGANIZATIONAL_UNIT"}
    ]
    renamed = client.update_organizational_unit(OrganizationalUnitId=made["Id"], Name="Test")["OrganizationalUnit"]
    assert renamed == {**made, "Name": "Test"}
    client.update_organizational_unit(OrganizationalUnitId=made["Id"], Name="Test")
    client.delete_organizational_unit(OrganizationalUnitId=made["Id"])
    for operation in ("describe_organizational_unit", "update_organizational_unit", "delete_organizational_unit"):
        code, _ = refusal(getattr(client, operation), OrganizationalUnitId=made["Id"])
        assert code == "OrganizationalUnitNotFound"
    for operation in ("list_organizational_units_for_parent", "list_accounts_for_parent"):
        assert refusal(getattr(client, operation), ParentId=made["Id"])[0] == "ParentNotFound"
    code, _ = refusal(client.create_organizational_unit, ParentId=made["Id"], Name="a")
    assert code == "ParentNotFound"
    assert refusal(client.list_parents, ChildId=made["Id"])[0] == "ChildNotFound"


def test_names_are_unique_below_one_parent(organization: Organization):
    client, a = organization.client, organization.unit("a")
    assert refusal(client.create_organizational_unit, ParentId=organization.root, Name="a") == (
        "DuplicateOrganizationalUnit",
        "An OU with the same name already exists.",
    )
    organization.unit("a", parent=a)
    b = organization.unit("b")
    code, _ = refusal(client.update_organizational_unit, OrganizationalUnitId=b, Name="a")
    assert code == "DuplicateOrganizationalUnit"


def test_units_lie_five_deep_at_the_most(organization: Organization):
    parent = organization.root
    for level in range(5):
        parent = organization.unit(f"level {level}", parent=parent)
    path = organization.client.describe_organizational_unit(OrganizationalUnitId=parent)["OrganizationalUnit"]["Path"]
    assert path.count("/ou-") == 5
    assert refusal(organization.client.create_organizational_unit, ParentId=parent, Name="a") == (
        "ConstraintViolation",
        "OU_DEPTH_LIMIT_EXCEEDED",
    )


def test_only_empty_units_go(organization: Organization):
    client = organization.client
    parent = organization.unit("parent")
    child, account = organization.unit("child", parent=parent), organization.account()
    assert refusal(client.delete_organizational_unit, OrganizationalUnitId=parent)[0] == "OrganizationalUnitNotEmpty"
    client.delete_organizational_unit(OrganizationalUnitId=child)
    client.move_account(AccountId=account, SourceParentId=organization.root, DestinationParentId=parent)
    assert refusal(client.delete_organizational_unit, OrganizationalUnitId=parent)[0] == "OrganizationalUnitNotEmpty"
    client.move_account(AccountId=account, SourceParentId=parent, DestinationParentId=organization.root)
    client.delete_organizational_unit(OrganizationalUnitId=parent)


def test_tags_are_put_read_and_removed(organization: Organization):
    client = organization.client
    account, unit = organization.account(), organization.unit("a")
    policy = organization.policy(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
    )
    for resource in (account, unit, policy, organization.root):
        tags = [{"Key": "Team", "Value": "a"}, {"Key": "team", "Value": "b"}]
        client.tag_resource(ResourceId=resource, Tags=tags)
        client.tag_resource(ResourceId=resource, Tags=[{"Key": "team", "Value": ""}])
        assert client.list_tags_for_resource(ResourceId=resource)["Tags"] == [tags[0], {"Key": "team", "Value": ""}]
        client.untag_resource(ResourceId=resource, TagKeys=["Team", "missing"])
        assert client.list_tags_for_resource(ResourceId=resource)["Tags"] == [{"Key": "team", "Value": ""}]
    made = client.create_organizational_unit(ParentId=unit, Name="b", Tags=[{"Key": "a", "Value": "b"}])[
        "OrganizationalUnit"
    ]
    assert client.list_tags_for_resource(ResourceId=made["Id"])["Tags"] == [{"Key": "a", "Value": "b"}]


def test_tags_that_aws_would_not_take_are_refused(organization: Organization):
    client, root = organization.client, organization.root

    def put(*tags: tuple[str, str], on: str = root) -> tuple[str, str]:
        return refusal(client.tag_resource, ResourceId=on, Tags=[{"Key": key, "Value": value} for key, value in tags])

    assert put(("aws:a", "b")) == ("InvalidInput", "INVALID_SYSTEM_TAGS_PARAMETER")
    assert put(("a", "b"), ("a", "c")) == ("InvalidInput", "DUPLICATE_TAG_KEY")
    assert put(*((f"k{number}", "") for number in range(51))) == ("ConstraintViolation", "MAX_TAG_LIMIT_EXCEEDED")
    assert put(("a", "b"), on="999999999999")[0] == "TargetNotFound"
    assert put(("a", "b"), on="p-00000000")[0] == "TargetNotFound"
    assert put(("a", "b"), on="p-FullAWSAccess") == ("InvalidInput", "TARGET_NOT_SUPPORTED")
    assert client.list_tags_for_resource(ResourceId=root)["Tags"] == []
