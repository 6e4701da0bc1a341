import pytest

from auth.secrets import ServerKeyInvalid, Vault

ONE, TWO, THREE = "1" * 32, "2" * 32, "3" * 48


def test_what_was_encrypted_is_decrypted():
    vault = Vault([ONE])
    for secret in (b"", b"secret", bytes(range(256)) * 100):
        assert vault.decrypt(vault.encrypt(secret)) == secret


def test_the_same_secret_never_looks_the_same():
    vault = Vault([ONE])
    assert vault.encrypt(b"secret") != vault.encrypt(b"secret")
    assert b"secret" not in vault.encrypt(b"secret")


def test_the_first_key_encrypts_and_all_decrypt():
    old = Vault([ONE]).encrypt(b"old")
    rotated = Vault([TWO, ONE])
    assert rotated.decrypt(old) == b"old"
    new = rotated.encrypt(b"new")
    assert Vault([TWO]).decrypt(new) == b"new"
    with pytest.raises(ServerKeyInvalid):
        Vault([ONE]).decrypt(new)


def test_a_key_that_is_missing_or_bytes_that_changed_are_an_error_with_a_way_out():
    sealed = Vault([ONE]).encrypt(b"secret")
    for vault, data in ((Vault([TWO, THREE]), sealed), (Vault([ONE]), sealed[:-2] + b"xx"), (Vault([ONE]), b"")):
        with pytest.raises(ServerKeyInvalid, match="put that key into the key file"):
            vault.decrypt(data)


@pytest.mark.parametrize("keys", [[], [""], ["x" * 31], [ONE, "short"]])
def test_keys_that_are_too_short_are_refused(keys: list[str]):
    with pytest.raises(ServerKeyInvalid, match="32 characters"):
        Vault(keys)


def test_what_is_sealed_for_one_purpose_is_opened_for_no_other():
    vault = Vault([TWO, ONE])
    tokens, messages = vault.for_purpose("tokens"), vault.for_purpose("messages")
    sealed = tokens.encrypt(b"secret")
    assert Vault([TWO]).for_purpose("tokens").decrypt(sealed) == b"secret"
    assert tokens.decrypt(Vault([ONE]).for_purpose("tokens").encrypt(b"old")) == b"old"
    for other in (vault, messages, Vault([ONE]).for_purpose("tokens")):
        with pytest.raises(ServerKeyInvalid):
            other.decrypt(sealed)
