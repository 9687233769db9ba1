#!/bin/sh
# Installs Worldloom into a fresh environment: sh install.sh FOLDER WHEELS CONSTRAINTS [INDEX-OF-TORCH]
# EXTRAS (server) says which parts. What the image's build runs, and what can be run without a container engine.
set -eu
folder=$1
wheels=$2
constraints=$3
index=${4:-}
extras=${EXTRAS:-server}

python3 -m venv "$folder"
# torch comes first and alone: nothing that is installed later may bring another build of it.
"$folder/bin/pip" install --no-cache-dir --constraint "$constraints" ${index:+--index-url "$index"} torch
wheel=$(ls "$wheels"/worldloom-*.whl)
"$folder/bin/pip" install --no-cache-dir --constraint "$constraints" "worldloom[$extras] @ file://$wheel"
"$folder/bin/worldloom" worlds --json > /dev/null
