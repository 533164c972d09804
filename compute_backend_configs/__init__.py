"""Compute backend configs: where and how a project runs, as the published `mantik` client writes it."""

from compute_backend_configs.config import ComputeBackendConfig, Kind
from compute_backend_configs.duration import Duration
from compute_backend_configs.environment import Apptainer, Environment, PythonVenv
from compute_backend_configs.loading import LoadedConfig, load_config, parse_config, parse_config_data
from compute_backend_configs.memory import MemorySize
from compute_backend_configs.problems import ConfigProblem, InvalidConfig
from compute_backend_configs.report import Report, check_file
from compute_backend_configs.resources import Resources, TaskLayout
from compute_backend_configs.shape import json_schema
from compute_backend_configs.sites import FirecrestSite, LocalSite, SshSite

__all__ = [
    "Apptainer",
    "ComputeBackendConfig",
    "ConfigProblem",
    "Duration",
    "Environment",
    "FirecrestSite",
    "InvalidConfig",
    "Kind",
    "LoadedConfig",
    "LocalSite",
    "MemorySize",
    "PythonVenv",
    "Report",
    "Resources",
    "SshSite",
    "TaskLayout",
    "check_file",
    "json_schema",
    "load_config",
    "parse_config",
    "parse_config_data",
]
