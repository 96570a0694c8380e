//! What else than a boot or a request starts a service.

use std::fmt;

/// Something that starts a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trigger {
    /// What happens.
    pub kind: TriggerKind,
    /// Which of its kind.
    pub subtype: Guid,
}

/// What happens when a trigger fires. The numbers are those of Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerKind {
    /// A device with an interface of a class arrives.
    DeviceArrival,
    /// The machine has its first address, or loses its last.
    IpAddress,
    /// The machine joins or leaves a domain.
    DomainJoin,
    /// Something else, by the number of Windows: what somebody else has set.
    Other(u32),
}

impl Trigger {
    /// The machine has its first address (`NETWORK_MANAGER_FIRST_IP_ADDRESS_ARRIVAL_GUID`).
    pub const FIRST_ADDRESS: Self =
        Self { kind: TriggerKind::IpAddress, subtype: Guid(0x4f27_f2de_14e2_430b_a549_7cd4_8cbc_8245) };
    /// The machine joins a domain (`DOMAIN_JOIN_GUID`).
    pub const DOMAIN_JOIN: Self =
        Self { kind: TriggerKind::DomainJoin, subtype: Guid(0x1ce2_0aba_9851_4421_9430_1dde_b766_e809) };

    /// A device with an interface of this class arrives.
    #[must_use]
    pub const fn device(class: Guid) -> Self {
        Self { kind: TriggerKind::DeviceArrival, subtype: class }
    }
}

impl TriggerKind {
    /// The number of Windows.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::DeviceArrival => 1,
            Self::IpAddress => 2,
            Self::DomainJoin => 3,
            Self::Other(number) => number,
        }
    }

    /// What a number of Windows means.
    #[must_use]
    pub const fn of(number: u32) -> Self {
        match number {
            1 => Self::DeviceArrival,
            2 => Self::IpAddress,
            3 => Self::DomainJoin,
            other => Self::Other(other),
        }
    }
}

/// As people read it.
impl fmt::Display for Trigger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TriggerKind::IpAddress if *self == Self::FIRST_ADDRESS => formatter.write_str("the first address"),
            TriggerKind::DomainJoin if *self == Self::DOMAIN_JOIN => formatter.write_str("joining a domain"),
            TriggerKind::DeviceArrival => write!(formatter, "a device of {}", self.subtype),
            TriggerKind::IpAddress | TriggerKind::DomainJoin | TriggerKind::Other(_) => {
                write!(formatter, "trigger {} {}", self.kind.number(), self.subtype)
            }
        }
    }
}

/// A globally unique identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guid(pub u128);

impl Guid {
    /// Reads one as people write it, with or without braces.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        const LENGTHS: [usize; 5] = [8, 4, 4, 4, 12];
        let inner = text.strip_prefix('{').map_or(Some(text), |rest| rest.strip_suffix('}'))?;
        let parts: Vec<&str> = inner.split('-').collect();
        let is_hex = |part: &&str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_guid = parts.iter().all(is_hex) && parts.iter().map(|part| part.len()).eq(LENGTHS);
        is_guid.then(|| u128::from_str_radix(&parts.concat(), 16).ok().map(Self))?
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        write!(formatter, "{{{}}}", parts.join("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_read_as_people_write_it() {
        let text = "{4f27f2de-14e2-430b-a549-7cd48cbc8245}";
        let guid = Guid::parse(text).unwrap();
        assert_eq!(guid, Trigger::FIRST_ADDRESS.subtype);
        assert_eq!(guid.to_string(), text);
        assert_eq!(Guid::parse(&text[1..37]), Some(guid));
        for wrong in [
            "",
            "{}",
            &text[..37],
            "4f27f2de-14e2-430b-a549-7cd48cbc824",
            "4f27f2de14e2430ba5497cd48cbc8245",
            "+f27f2de-14e2-430b-a549-7cd48cbc8245",
        ] {
            assert_eq!(Guid::parse(wrong), None, "{wrong}");
        }
    }
}
