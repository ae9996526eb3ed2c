//! Suites as the XML of JUnit, which CI systems read.

use std::fmt::Write as _;

use super::markup::escape;
use super::suite::{CaseResult, Suite};

/// How it begins; by it a file is known to be one.
pub(crate) const BEGIN: &str =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"rehearse\"";

/// The XML of some suites.
pub(crate) fn xml(suites: &[Suite]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, suites);
    out
}

fn write(out: &mut String, suites: &[Suite]) -> std::fmt::Result {
    let sums = suites.iter().map(Suite::count);
    let (failures, errors) = sums.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    let tests: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let seconds: f64 = suites.iter().map(|suite| suite.seconds).sum();
    writeln!(
        out,
        "{BEGIN} tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{seconds:.3}\">"
    )?;
    for suite in suites {
        let (failures, errors) = suite.count();
        let skipped = suite
            .cases
            .iter()
            .filter(|c| c.result == CaseResult::Skipped)
            .count();
        let name = escape(&suite.name);
        writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{:.3}\">",
            suite.cases.len(),
            suite.seconds
        )?;
        if !suite.properties.is_empty() {
            writeln!(out, "    <properties>")?;
            for (key, value) in &suite.properties {
                writeln!(
                    out,
                    "      <property name=\"{key}\" value=\"{}\"/>",
                    escape(value)
                )?;
            }
            writeln!(out, "    </properties>")?;
        }
        for case in &suite.cases {
            write!(
                out,
                "    <testcase name=\"{}\" classname=\"{name}\" time=\"0\"",
                escape(&case.name)
            )?;
            let found = escape(&case.found);
            match &case.result {
                CaseResult::Passed => writeln!(out, "/>")?,
                CaseResult::Failed(lines) => writeln!(
                    out,
                    ">\n      <failure message=\"{found}\" type=\"failed\">{found}\n{}</failure>\n    </testcase>",
                    escape(lines)
                )?,
                CaseResult::Broken => writeln!(
                    out,
                    ">\n      <error message=\"{found}\" type=\"impossible\">{found}</error>\n    </testcase>"
                )?,
                CaseResult::Skipped => {
                    writeln!(
                        out,
                        ">\n      <skipped message=\"{found}\"/>\n    </testcase>"
                    )?;
                }
            }
        }
        writeln!(out, "  </testsuite>")?;
    }
    writeln!(out, "</testsuites>")
}
