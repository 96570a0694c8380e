//! The order in which services start, and the cycles that make one impossible.

use std::collections::{BTreeMap, BTreeSet};

/// What depends on what: for each name, the names it needs.
pub type Graph<'a> = BTreeMap<&'a str, Vec<&'a str>>;

/// Groups of services that can start at the same time; each group needs only groups before it. Stopping goes the other way.
/// Services on a cycle or behind one are in no group; names that are needed but not there are passed over.
#[must_use]
pub fn levels<'a>(graph: &Graph<'a>) -> Vec<Vec<&'a str>> {
    let mut levels = Vec::new();
    let mut placed = BTreeSet::new();
    loop {
        let ready = |needs: &[&str]| needs.iter().all(|need| placed.contains(need) || !graph.contains_key(need));
        let level: Vec<&str> = graph
            .iter()
            .filter(|(name, needs)| !placed.contains(*name) && ready(needs))
            .map(|(name, _)| *name)
            .collect();
        if level.is_empty() {
            return levels;
        }
        placed.extend(level.iter().copied());
        levels.push(level);
    }
}

/// Every cycle, once each, as the path that closes it: `["a", "b", "a"]`. A service that needs itself is not one of them.
#[must_use]
pub fn cycles<'a>(graph: &Graph<'a>) -> Vec<Vec<&'a str>> {
    let mut walk =
        CycleWalk { graph, done: BTreeSet::new(), path: Vec::new(), place: BTreeMap::new(), cycles: Vec::new() };
    for name in graph.keys() {
        walk.visit(name);
    }
    walk.cycles
}

struct CycleWalk<'g, 'a> {
    graph: &'g Graph<'a>,
    done: BTreeSet<&'a str>,
    path: Vec<&'a str>,
    /// Where on the path each name is.
    place: BTreeMap<&'a str, usize>,
    cycles: Vec<Vec<&'a str>>,
}

impl<'a> CycleWalk<'_, 'a> {
    /// Depth first with a stack of its own: a chain of dependencies may be as long as the definition.
    fn visit(&mut self, start: &'a str) {
        let mut next_need: Vec<usize> = Vec::new();
        self.enter(start, &mut next_need);
        while let (Some(name), Some(next)) = (self.path.last().copied(), next_need.last_mut()) {
            let need = self.graph.get(name).and_then(|needs| needs.get(*next)).copied();
            *next += 1;
            match need {
                Some(need) if need == name => {}
                Some(need) => match self.place.get(need).copied() {
                    Some(first) => {
                        let closed = self.path[first..].iter().copied().chain([need]).collect();
                        self.cycles.push(closed);
                    }
                    None => self.enter(need, &mut next_need),
                },
                None => {
                    self.done.insert(name);
                    self.place.remove(name);
                    self.path.pop();
                    next_need.pop();
                }
            }
        }
    }

    fn enter(&mut self, name: &'a str, next_need: &mut Vec<usize>) {
        if !self.done.contains(name) && self.graph.contains_key(name) {
            self.place.insert(name, self.path.len());
            self.path.push(name);
            next_need.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn graph<'a>(edges: &[(&'a str, &[&'a str])]) -> Graph<'a> {
        edges.iter().map(|(name, needs)| (*name, needs.to_vec())).collect()
    }

    #[test]
    fn independent_services_start_together_and_dependants_after() {
        let graph = graph(&[("web", &["cache", "migrate"]), ("cache", &[]), ("migrate", &["db"]), ("db", &[])]);
        assert_eq!(levels(&graph), [vec!["cache", "db"], vec!["migrate"], vec!["web"]]);
    }

    #[test]
    fn a_cycle_is_shown_as_the_path_that_closes_it() {
        let graph = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("d", &["a"])]);
        assert_eq!(cycles(&graph), [vec!["a", "b", "c", "a"]]);
        assert_eq!(levels(&graph), Vec::<Vec<&str>>::new());
    }

    #[test]
    fn needing_oneself_is_not_reported_as_a_cycle() {
        assert_eq!(cycles(&graph(&[("a", &["a"])])), Vec::<Vec<&str>>::new());
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_does_not_overflow_the_stack() {
        let names: Vec<String> = (0..100_000).map(|number| format!("s{number:06}")).collect();
        let chain: Graph<'_> = names.windows(2).map(|pair| (pair[0].as_str(), vec![pair[1].as_str()])).collect();
        assert_eq!(cycles(&chain), Vec::<Vec<&str>>::new());
    }

    proptest! {
        #[test]
        fn every_service_is_placed_or_behind_a_cycle(edges in proptest::collection::btree_map(0u8..12, proptest::collection::vec(0u8..12, 0..4), 0..12)) {
            let names: Vec<String> = (0..12).map(|number| format!("s{number}")).collect();
            let graph: Graph<'_> = edges
                .iter()
                .map(|(name, needs)| (names[usize::from(*name)].as_str(), needs.iter().map(|need| names[usize::from(*need)].as_str()).collect()))
                .collect();
            let placed: usize = levels(&graph).iter().map(Vec::len).sum();
            let self_needed = graph.iter().any(|(name, needs)| needs.contains(name));
            prop_assert_eq!(placed == graph.len(), cycles(&graph).is_empty() && !self_needed);
        }
    }
}
