"""Train stable-baselines3's SAC online in the maze on the reward that one user is thought to want.

    python examples/online_sac_on_learned_reward.py --steps 200000

The benchmarks learn offline. A reward model serves online learners just as well:

1. many simulated users answer comparisons of places in the maze, and VPL learns rewards and latents from them;
2. a new user answers eight; the posterior's mean is that user's latent;
3. `LearnedReward` pays SAC the reward under that latent;
4. the agent is scored by whether it is at the user's own goal when an episode ends; neither the reward model nor SAC
   ever saw that goal.
"""

from __future__ import annotations

import argparse

import gymnasium as gym
import numpy as np
from stable_baselines3 import SAC
from stable_baselines3.common.evaluation import evaluate_policy

from pluralbench.benchmarks.learned_reward import LearnedReward
from pluralbench.envs import environments
from pluralbench.envs.vectors import make_single
from pluralbench.preference_oracles.labelling import collect_preferences
from pluralbench.preference_oracles.populations import get_population
from pluralbench.reward_learning.learners import make_learner


def personal_environment(seed: int, num_transitions: int, num_users: int, reward_updates: int) -> gym.Env:
    """The maze, paid by the reward that VPL infers for one new user from eight answers."""
    environment = environments.get("maze")
    task, data = environment.make_task(), environment.collect(num_transitions, seed)
    population, generator = get_population("two-goals"), np.random.default_rng(seed)

    users = population.train_users(task, num_users, generator)
    answers = collect_preferences(task, data, users, num_comparisons=16, segment_length=1, seed=seed)
    model = make_learner("vpl", {"num_updates": reward_updates}, task=task)
    model.fit(answers, seed=seed)

    new_users = population.test_users(task, 1, generator)
    few_answers = collect_preferences(task, data, new_users, num_comparisons=8, segment_length=1, seed=seed + 1)
    latent = model.infer(few_answers).mean[0]
    goal = few_answers.goals[0]
    print(f"the new user wants {task.goal_name(goal)}")

    states = data.next_observations[generator.integers(len(data), size=256)]
    return LearnedReward(make_single(environment), model, latent, "spo", states, goal=goal)


class SuccessCount:
    """Counts the episodes whose user got what they wanted, for `evaluate_policy`."""

    def __init__(self) -> None:
        self.successes = 0

    def __call__(self, local_variables: dict, _: dict) -> None:
        """Called after every step."""
        if local_variables["done"]:
            self.successes += bool(local_variables["info"]["success"])


def main(arguments: list[str] | None = None) -> float:
    """Runs the example; returns the share of evaluation episodes in which the user was served."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200_000, help="environment steps of SAC")
    parser.add_argument("--episodes", type=int, default=20, help="evaluation episodes")
    parser.add_argument("--transitions", type=int, default=200_000, help="offline data that the comparisons show")
    parser.add_argument("--users", type=int, default=1_000, help="train users of the reward model")
    parser.add_argument("--reward-updates", type=int, default=1_500, help="gradient updates of the reward model")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    env = personal_environment(options.seed, options.transitions, options.users, options.reward_updates)
    agent = SAC("MlpPolicy", env, learning_starts=min(5_000, options.steps // 2), seed=options.seed, verbose=1)
    agent.learn(options.steps, log_interval=20)

    count = SuccessCount()
    evaluate_policy(agent, agent.get_env(), n_eval_episodes=options.episodes, callback=count)
    rate = count.successes / options.episodes
    print(f"served in {rate:.0%} of {options.episodes} episodes")
    return rate


if __name__ == "__main__":
    main()
