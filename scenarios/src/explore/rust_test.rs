//! A failure as a Rust test, for whoever keeps it with the code that is mended.

use super::laws::{Broken, Law};

/// The text of a test that fails as long as this scenario breaks a law, or is not as it expects.
pub fn rust_test(broken: &Broken, scenario: &str) -> String {
    let name = broken.class().replace('-', "_");
    // As many marks as no line of the file has after a quotation mark.
    let mut marks = String::from("#");
    while scenario.contains(&format!("\"{marks}")) {
        marks.push('#');
    }
    let judge = match broken.law {
        Law::AsExpected => "failed_expectations",
        _ => "broken_laws",
    };
    format!(
        "//! {broken}\n\
         //!\n\
         //! Made by `rehearse explain --rust-test`. With workloads of your own give those to `{judge}`.\n\n\
         use golem_scenarios::explore::{judge};\n\
         use golem_scenarios::workload::Workloads;\n\n\
         const SCENARIO: &str = r{marks}\"\n{scenario}\"{marks};\n\n\
         #[test]\n\
         fn {name}() {{\n    \
             let broken = {judge}(SCENARIO, &Workloads::default()).expect(\"a scenario\");\n    \
             assert!(broken.is_empty(), \"{{broken:#?}}\");\n\
         }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::{broken_laws, failed_expectations};
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

    #[test]
    fn a_failed_expectation_becomes_a_test_of_expectations() {
        let scenario = "name: few\nproviders: [{name: alice}]\ntasks: {name: hello-tasks, count: 1}\nexpect: [agreements: 2]\n";
        let workloads = Workloads::default();
        assert!(
            broken_laws(scenario, &workloads)
                .expect("a scenario")
                .is_empty()
        );
        let failed = failed_expectations(scenario, &workloads).expect("a scenario");
        let [broken] = &failed[..] else {
            panic!("{failed:?}");
        };
        assert_eq!(broken.to_string(), "as-expected: 2 agreements — 1");
        let test = rust_test(broken, scenario);
        assert!(test.contains("explore::failed_expectations;"), "{test}");
        assert!(test.contains("failed_expectations(SCENARIO"), "{test}");
    }
}
