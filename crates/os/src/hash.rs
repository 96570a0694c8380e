//! Numbers of names: the same on every machine, for good.

/// FNV-1a. See <http://www.isthe.com/chongo/tech/comp/fnv/>.
pub(crate) fn of(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_has_the_number_it_always_had() {
        // Of the test vectors of its authors.
        assert_eq!((super::of(b""), super::of(b"foobar")), (0xcbf2_9ce4_8422_2325, 0x8594_4171_f739_67e8));
    }
}
