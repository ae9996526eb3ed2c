//! A failure as a Rust test, for whoever keeps it with the code that is mended.

use super::laws::Broken;

/// The text of a test that fails as long as this scenario breaks a law.
pub fn rust_test(broken: &Broken, scenario: &str) -> String {
    let name = broken.class().replace('-', "_");
    // As many marks as no line of the file has after a quotation mark.
    let mut marks = String::from("#");
    while scenario.contains(&format!("\"{marks}")) {
        marks.push('#');
    }
    format!(
        "//! {broken}\n\
         //!\n\
         //! Made by `rehearse explain --rust-test`. With workloads of your own give those to `broken_laws`.\n\n\
         use golem_scenarios::explore::broken_laws;\n\
         use golem_scenarios::workload::Workloads;\n\n\
         const SCENARIO: &str = r{marks}\"\n{scenario}\"{marks};\n\n\
         #[test]\n\
         fn {name}() {{\n    \
             let broken = broken_laws(SCENARIO, &Workloads::default()).expect(\"a scenario\");\n    \
             assert!(broken.is_empty(), \"{{broken:#?}}\");\n\
         }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Law, broken_laws};
    use super::*;
    use crate::workload::Workloads;

    #[test]
    fn a_failure_becomes_a_test_that_needs_nothing_else() {
        let scenario = "name: hangs\nabout: \"#quoted\"\nproviders: [{name: alice, behaviour: {hang_command: {command: run}}}]\n\
            time: {limit: 10m}\ntasks: {name: hello-tasks, count: 1, timeout: 30m}\n";
        let broken = broken_laws(scenario, &Workloads::default()).expect("a scenario");
        let [broken] = &broken[..] else {
            panic!("{broken:?}");
        };
        assert_eq!(broken.law, Law::Ends);
        let test = rust_test(broken, scenario);
        for part in [
            "const SCENARIO: &str = r##\"\nname: hangs\n",
            "timeout: 30m}\n\"##;\n",
            "#[test]\nfn ends_",
            "broken_laws(SCENARIO, &Workloads::default())",
        ] {
            assert!(test.contains(part), "{part}: {test}");
        }
    }
}
