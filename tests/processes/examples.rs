//! The engine's examples, as programs: each ends well on the embedded network, in virtual time and behind a port.

use std::process::Command;

use workspace_tests::Program;

/// Runs an example on a backend; what it printed.
fn ran(name: &'static str, backend: &str) -> String {
    let program = Program::Example(name).path().expect("it is built");
    let output = Command::new(program)
        .env_remove("YAGNA_APPKEY")
        .env("EXAMPLE_BACKEND", backend)
        .env("RUST_LOG", "off")
        .output()
        .expect("it runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{name} on {backend}: {printed}{said}"
    );
    assert!(
        printed.contains("nothing left open"),
        "{name} on {backend}: {printed}"
    );
    printed
}

macro_rules! examples {
    ($($test:ident: $name:literal says $words:literal;)+) => {$(
        #[test]
        fn $test() {
            for backend in ["memory", "http"] {
                let printed = ran($name, backend);
                assert!(printed.contains($words), "{} on {backend}: {printed}", $name);
            }
        }
    )+};
}

examples! {
    three_machines_say_hello: "hello" says "Hello Carol from";
    a_service_answers_its_owner: "hello_service" says "Hello Bob";
    a_service_tells_the_date_of_its_machine: "date_service" says "UTC";
    a_service_that_is_told_to_fail_begins_anew_and_answers: "restart_and_messages" says "Hello Bob";
    a_transfer_tells_its_progress_and_a_program_is_read_while_it_runs: "transfer_progress" says "it says 1000000";
    a_local_port_leads_to_the_web_servers_of_two_machines_in_turn: "http_proxy" says "200 OK: Hello from instance-2";
    a_tcp_client_speaks_to_the_ssh_daemon_of_each_machine: "socket_proxy" says "SSH-2.0-OpenSSH";
    two_services_on_one_network_are_told_of_each_other: "webapp" says "The store has three apples";
    six_users_share_the_machines_of_a_pool: "rental_pool" says "another activity on the same agreement: true";
    offers_are_listed_without_renting: "scan" says "good enough";
    a_strategy_is_put_together_of_parts: "market_strategy" says "rented from";
    a_provider_on_the_black_list_is_not_rented_again: "provider_filter" says "then from another one: true";
    a_runtime_of_ones_own_is_begun_by_hand: "custom_runtime" says "of workshop says: ready";
    a_signed_manifest_says_what_may_be_run: "signed_manifest" says "what was not signed is refused";
    a_search_in_parts_finds_all: "hash_search" says "found all";
    a_scene_is_rendered_frame_by_frame: "blender" says "rendered 6 frames";
    all_is_done_by_the_daemons_own_operations: "low_level" says "by hand";
    the_counters_of_a_machine_are_read_while_it_works: "custom_usage_counter" says "the limit of the counter is reached";
}
