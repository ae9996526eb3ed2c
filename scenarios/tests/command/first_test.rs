use std::time::Duration;

use golem_scenarios::prelude::*;

struct Clockwork;

impl Service for Clockwork {
    type Params = ();

    fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Clockwork)
    }

    async fn payload() -> Result<Payload, Error> {
        let image = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae");
        Ok(image.image_url("http://images.example/clock.gvmi").into())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let date = ctx.run("/bin/sh", ["-c", "date"]).await?;
        assert!(date.stdout_text().contains("UTC"));
        ctx.stop_requested().await;
        Ok(())
    }
}

#[test]
fn two_clockworks_run_and_nothing_is_left_open() {
    let summary = Offline::new(1).run(async |stage| {
        let golem = stage.golem().budget(Glm::from(1)).start().await.unwrap();
        let service = golem.run_service::<Clockwork>().num_instances(2);
        let cluster = service.start().await.unwrap();
        cluster.wait_running(Duration::from_secs(60)).await.unwrap();
        cluster.stop();
        cluster.join().await;
        drop(golem.stop().await);
        stage.network().summary()
    });
    assert_eq!(summary.agreements, 2);
    assert!(summary.violations.is_empty() && summary.open.is_empty(), "{summary}");
}
