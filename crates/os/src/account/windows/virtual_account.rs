//! Virtual accounts: Windows has one for every name, and makes its SID of that.

use std::ptr;

use windows_sys::Win32::Security::Cryptography::{BCRYPT_SHA1_ALG_HANDLE, BCryptHash};

/// The length of what SHA-1 makes, in bytes.
const HASH_BYTES: usize = 20;

/// The SID of `NT SERVICE\NAME`: the hash of the name in capital letters, in UTF-16, as five numbers.
pub(super) fn sid(name: &str) -> Option<String> {
    let bytes: Vec<u8> = name.to_uppercase().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut hash = [0_u8; HASH_BYTES];
    let (length, room) = (u32::try_from(bytes.len()).ok()?, u32::try_from(hash.len()).ok()?);
    // SAFETY: both are as long as is said, and there is no key.
    let status = unsafe {
        BCryptHash(BCRYPT_SHA1_ALG_HANDLE, ptr::null_mut(), 0, bytes.as_ptr(), length, hash.as_mut_ptr(), room)
    };
    let numbers = hash.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]).to_string());
    (status >= 0).then(|| format!("S-1-5-80-{}", numbers.collect::<Vec<_>>().join("-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sid_of_a_virtual_account_is_made_of_its_name() {
        let trusted_installer = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";
        assert_eq!(sid("TrustedInstaller").as_deref(), Some(trusted_installer));
        assert_eq!(sid("trustedinstaller"), sid("TRUSTEDINSTALLER"));
    }
}
