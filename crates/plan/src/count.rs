//! How many of something there are, in words.

use std::fmt::Display;

/// A count with what is counted: `1 service`, `3 services`.
///
/// ```
/// use menshen_plan::count::counted;
/// assert_eq!(counted(1_u32, "service", "services"), "1 service");
/// assert_eq!(counted(0_u32, "service", "services"), "0 services");
/// ```
#[must_use]
pub fn counted(count: impl Copy + Display + PartialEq + From<u8>, one: &str, several: &str) -> String {
    let what = if count == From::from(1_u8) { one } else { several };
    format!("{count} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_of_something_is_spoken_of_in_the_singular() {
        let told = [0_usize, 1, 2].map(|count| counted(count, "program runs on", "programs run on"));
        assert_eq!(told, ["0 programs run on", "1 program runs on", "2 programs run on"]);
    }
}
