//! The same plan, seed and events give the same effects.

use crate::rig::Rig;

fn story() -> String {
    let mut rig = Rig::new(
        "[service.a]\ncommand = \"a\"\nrestart.jitter = 0.5\n[service.b]\ncommand = \"b\"\ndepends_on = { a = \"started\" }\n",
    );
    for _ in 0..20 {
        rig.exit("a", 1);
        rig.wait_s(3);
        if rig.status("b").pid.is_some() {
            rig.exit("b", 2);
        }
        rig.wait_s(100);
    }
    rig.shut_down();
    format!("{:#?}", rig.effects)
}

#[test]
fn the_same_story_gives_the_same_effects_byte_for_byte() {
    assert_eq!(story(), story());
}
