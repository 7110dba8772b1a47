from bench.detection.cli import main

if __name__ == "__main__":
    main()
