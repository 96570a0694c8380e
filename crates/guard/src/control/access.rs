//! Who may do what: decided by the credentials the kernel gives, never by what the caller says.

use std::collections::BTreeMap;

use menshen_api::Role;
use menshen_os::account::{self, GroupId, UserId};
use menshen_os::local_socket::{Admits, Caller};
use menshen_plan::definition::{self, Access as Plan};

/// The group whose members are operators, where the machine has it.
pub(crate) const GROUP: &str = "menshen";

/// The roles of users and groups, as the system knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    guard: UserId,
    users: BTreeMap<UserId, Role>,
    groups: BTreeMap<GroupId, Role>,
}

impl Access {
    /// From the definition; users and groups the machine does not have get nothing.
    pub(crate) fn new(plan: &Plan) -> Self {
        let users = plan.users.iter().filter_map(|(name, of)| Some((account::find(name)?.id(), role(*of))));
        let groups = plan.groups.iter().filter_map(|(name, of)| Some((account::group_id(name)?, role(*of))));
        let operators = account::group_id(GROUP).map(|gid| (gid, Role::Operator));
        Self {
            guard: account::current().id(),
            users: users.collect(),
            groups: operators.into_iter().chain(groups).collect(),
        }
    }

    /// What a caller may do; `None` for nothing.
    pub(crate) fn role_of(&self, caller: &Caller) -> Option<Role> {
        if caller.is_root() || *caller.user() == self.guard {
            return Some(Role::Admin);
        }
        let groups = caller.every_group().filter_map(|group| self.groups.get(group));
        self.users.get(caller.user()).into_iter().chain(groups).copied().max()
    }

    /// Who may connect: who has no role by being in the group must be able to do so first.
    pub(crate) fn admits(plan: &Plan) -> Admits {
        if plan.users.is_empty() && plan.groups.is_empty() { Admits::Members(GROUP) } else { Admits::Everybody }
    }
}

const fn role(role: definition::Role) -> Role {
    match role {
        definition::Role::Viewer => Role::Viewer,
        definition::Role::Operator => Role::Operator,
        definition::Role::Admin => Role::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(uid: u32, gid: u32, groups: &[u32]) -> Caller {
        Caller { user: UserId(uid), gid, pid: 1, groups: groups.to_vec() }
    }

    #[test]
    fn the_highest_role_of_a_caller_counts() {
        let access = Access {
            guard: UserId(500),
            users: [(UserId(1000), Role::Viewer)].into(),
            groups: [(50, Role::Operator), (60, Role::Admin)].into(),
        };
        assert_eq!(access.role_of(&caller(0, 0, &[])), Some(Role::Admin));
        assert_eq!(access.role_of(&caller(500, 9, &[])), Some(Role::Admin));
        assert_eq!(access.role_of(&caller(1000, 9, &[])), Some(Role::Viewer));
        assert_eq!(access.role_of(&caller(1000, 9, &[50])), Some(Role::Operator));
        assert_eq!(access.role_of(&caller(1001, 60, &[])), Some(Role::Admin));
        assert_eq!(access.role_of(&caller(1001, 9, &[8])), None);
    }
}
