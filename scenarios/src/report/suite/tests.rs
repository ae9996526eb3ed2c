//! Suites as JUnit and as Markdown.

use super::super::junit::xml;
use super::super::markdown::markdown;
use super::*;

fn suite() -> Suite {
    let case = |name: &str, found: &str, result| Case {
        name: name.into(),
        found: found.into(),
        result,
    };
    Suite {
        name: "a|b <c>".into(),
        seconds: 1.5,
        properties: vec![("seed", "7".into()), ("command", "rehearse run `x`".into())],
        cases: vec![
            case("holds", "3", CaseResult::Passed),
            case(
                "@you *fail*",
                "\u{1b}[31m\"<1>\"\nmore",
                CaseResult::Failed("  12  ```\n".into()),
            ),
            case("is left out", "why not", CaseResult::Skipped),
        ],
    }
}

#[test]
fn the_xml_is_escaped_and_its_numbers_are_those_of_its_cases() {
    let broken = Suite::broken("x.yaml", "x.yaml:1:2: no");
    insta::assert_snapshot!(xml(&[suite(), broken]), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="rehearse" tests="4" failures="1" errors="1" time="1.500">
      <testsuite name="a|b &lt;c&gt;" tests="3" failures="1" errors="0" skipped="1" time="1.500">
        <properties>
          <property name="seed" value="7"/>
          <property name="command" value="rehearse run `x`"/>
        </properties>
        <testcase name="holds" classname="a|b &lt;c&gt;" time="0"/>
        <testcase name="@you *fail*" classname="a|b &lt;c&gt;" time="0">
          <failure message="�[31m&quot;&lt;1&gt;&quot;
    more" type="failed">�[31m&quot;&lt;1&gt;&quot;
    more
      12  ```
    </failure>
        </testcase>
        <testcase name="is left out" classname="a|b &lt;c&gt;" time="0">
          <skipped message="why not"/>
        </testcase>
      </testsuite>
      <testsuite name="x.yaml" tests="1" failures="0" errors="1" skipped="0" time="0.000">
        <testcase name="it can be run" classname="x.yaml" time="0">
          <error message="x.yaml:1:2: no" type="impossible">x.yaml:1:2: no</error>
        </testcase>
      </testsuite>
    </testsuites>
    "#);
}

#[test]
fn the_markdown_means_nothing_that_came_from_outside_and_tells_failures_first() {
    insta::assert_snapshot!(markdown(&[suite()]), @r#"
    <!-- rehearse -->
    ## ❌ a\|b &lt;c&gt; failed: 1 of 3

    | | claim | found |
    |---|---|---|
    | ❌ | &#64;you \*fail\* |  \[31m"&lt;1&gt;" more |
    | ✅ | holds | 3 |
    | ⏭️ | is left out | why not |

    <details><summary>&#64;you \*fail\*: the lines before</summary>

    ````text
      12  ```
    ````

    </details>

    Seed 7, 1.5 s.

    The same again:

    ```text
    rehearse run `x`
    ```
    "#);
}
