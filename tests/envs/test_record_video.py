"""Gymnasium's RecordVideo on our environments; it needs the extra `video`."""

import gymnasium as gym
import pytest
from gymnasium.wrappers import RecordVideo

from pluralbench.envs import environments

NAMES = [name for name in environments.registered() if name != "maze-d4rl-like"]
moviepy = pytest.importorskip("moviepy")


@pytest.mark.parametrize("name", NAMES)
def test_an_episode_becomes_a_video(name, tmp_path):
    env = gym.make(environments.get(name).gym_id, render_mode="rgb_array", max_episode_steps=12)
    env = RecordVideo(env, str(tmp_path / "videos"), episode_trigger=lambda episode: True, disable_logger=True)
    env.action_space.seed(0)
    env.reset(seed=0)
    ended, frames = False, 1
    while not ended:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        ended, frames = terminated or truncated, frames + 1
    env.close()
    (video,) = (tmp_path / "videos").glob("*.mp4")
    with moviepy.VideoFileClip(str(video)) as clip:
        assert clip.fps == env.metadata["render_fps"]
        assert clip.duration == pytest.approx(frames / clip.fps, abs=1.5 / clip.fps)
        assert min(clip.size) > 50
        assert clip.get_frame(0).std() > 1
