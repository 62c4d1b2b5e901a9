# PluralBench in a container, without CUDA:
#
#   docker build -t pluralbench .
#   docker run --rm -v "$PWD:/workspace" --user "$(id -u):$(id -g)" pluralbench maze --preset quick   # writes ./results
#
# With CUDA, as PyPI's PyTorch brings it:
#
#   docker build -t pluralbench:cuda --build-arg TORCH_INDEX= .
#   docker run --rm --gpus all -v "$PWD:/workspace" --user "$(id -u):$(id -g)" pluralbench:cuda maze --preset paper
#
# PyBullet is ready built for Python 3.10 and 3.11 only.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir dist .

FROM python:3.11-slim-bookworm
WORKDIR /opt/pluralbench
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# A layer of its own: it is most of the image, and seldom changes.
COPY constraints.txt .
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c constraints.txt torch
# EXTRAS such as [track,sb3]
ARG EXTRAS=
COPY --from=build /src/dist dist
RUN pip install --no-cache-dir -c constraints.txt "$(echo dist/*.whl)$EXTRAS"

# A user given with --user has no home.
ENV MPLBACKEND=Agg MPLCONFIGDIR=/tmp/matplotlib PLURALBENCH_DATA_DIR=/workspace/.pluralbench
WORKDIR /workspace
RUN useradd --uid 1000 --create-home pluralbench && chown pluralbench /workspace
USER 1000
VOLUME /workspace
ENTRYPOINT ["pluralbench"]
CMD ["--help"]
