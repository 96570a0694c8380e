//! What needs no manager, of every one: the rows of those that are not to be had here are held as well.

use menshen::service::{ManagerKind, managers};
use menshen_life_cycle::abilities;
use menshen_life_cycle::sample::Sample;
use menshen_life_cycle::suite::{self, Part};

#[test]
fn every_manager_plans_what_can_be_asked_of_it_and_refuses_the_rest_by_name() {
    for kind in ManagerKind::ALL {
        let row = abilities::of(kind).unwrap_or_else(|| panic!("{kind} has no row"));
        let (program, folder) = match kind {
            ManagerKind::Scm => (r"C:\shop\web.exe", r"C:\shop"),
            ManagerKind::Systemd
            | ManagerKind::Launchd
            | ManagerKind::OpenRc
            | ManagerKind::SysV
            | ManagerKind::Runit
            | ManagerKind::S6
            | ManagerKind::Dinit
            | ManagerKind::FreeBsdRc => ("/srv/shop/web", "/srv/shop"),
        };
        let sample = Sample { program: program.into(), folder: folder.into(), name: "web".parse().unwrap() };
        let report = suite::run(managers::assumed(kind).as_ref(), &sample, row, Part::Planned, &mut |_| ());
        assert!(report.is_good() && report.steps.len() == 3, "{kind}: {report:#?}");
    }
}
