"""Which model file to run: the catalogue, the choice by memory, fetching and verifying."""
