"""pytest-longshore's example with docker, on a real engine."""

from pathlib import Path

from tests.acceptance.conftest import BASE
from tests.acceptance.programs import Engine, Program, bare_environment
from tests.projects import Project, examples, install, passed


def test_the_example_with_docker_holds(engine: Engine, debian_docker: Path, tmp_path: Path) -> None:
    docker = Program(debian_docker, bare_environment(tmp_path, DOCKER_HOST=engine.host))
    docker("tag", BASE, "my-app")
    project = Project(tmp_path / "project", install(tmp_path))
    files = {"test_docker.py": examples()["test_docker.py"]}
    assert passed(project.run(files, DOCKER_HOST=engine.host)) == 1
